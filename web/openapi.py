"""The OpenAPI document: what FastAPI knows, the bodies that we read ourselves, and errors as they are."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from domain.approvals import SignedDecision
from web.api import schemas
from web.documents import Announced

REF = "#/components/schemas/{model}"
PROBLEM = "application/problem+json"

_BODIES: tuple[type[BaseModel], ...] = (
    SignedDecision,
    schemas.NewRequest,
    schemas.Verdicted,
    schemas.Cancelled,
    schemas.Assigned,
    schemas.Nothing,
    schemas.Said,
    Announced,
    schemas.Problem,
)
_OPEN = ("/healthz", "/readyz", "/metrics", "/acks/", "/api/track/", "/sendgrid/", "/telegram/", "/slack/")
"""Paths that ask nobody to sign in."""


def takes(*models: type[BaseModel], needed: bool = True) -> dict[str, Any]:
    """`openapi_extra` of a handler that reads one of these bodies itself."""
    refs = [{"$ref": REF.format(model=model.__name__)} for model in models]
    schema = refs[0] if len(refs) == 1 else {"anyOf": refs}
    return {"requestBody": {"required": needed, "content": {"application/json": {"schema": schema}}}}


def answers(model: type[BaseModel], *codes: int, success: int = 200) -> dict[int | str, dict[str, Any]]:
    """`responses` of a handler: what it answers, and the errors that it can end in."""
    return {success: {"model": model}, **{code: {} for code in codes}}


def describe(app: FastAPI) -> None:
    """Let the application tell its OpenAPI document as it is."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way to change it


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(title=app.title, version=app.version, routes=app.routes)
    _, defined = models_json_schema([(model, "validation") for model in _BODIES], ref_template=REF)
    components = document.setdefault("components", {})
    components["schemas"] = {**components.get("schemas", {}), **defined["$defs"]}
    components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    for path, operations in document["paths"].items():
        for operation in operations.values():
            _tell_errors(path, operation)
    for unused in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(unused, None)
    return document


def _tell_errors(path: str, operation: dict[str, Any]) -> None:
    """Every error is a problem document; whoever has to sign in may hear 401 and 403."""
    responses = operation["responses"]
    if not path.startswith(_OPEN):
        operation["security"] = [{"token": []}]
        responses.setdefault("401", {"description": "Unauthorized"})
        responses.setdefault("403", {"description": "Forbidden"})
    responses.setdefault("400", {"description": "Bad Request"})
    if "{" in path or path.startswith("/api/"):
        responses.setdefault("404", {"description": "Not Found"})
    responses.setdefault("503", {"description": "Service Unavailable"})
    for code, response in responses.items():
        if code >= "400" and path not in ("/readyz", "/metrics"):
            response["content"] = {PROBLEM: {"schema": {"$ref": REF.format(model="Problem")}}}
