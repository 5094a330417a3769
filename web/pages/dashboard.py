"""The dashboard: how the tenant's requests, messages and approvers stand, and what needs attention first."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from web.figures import Span
from web.people import Staff
from web.pictures import board
from web.rendering import page
from web.state import Wired

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

_AGED = timedelta(seconds=90)
"""Figures that are older are said to be."""

_SPANS = {Span.DAY: "24 hours", Span.WEEK: "7 days", Span.MONTH: "30 days"}


@router.get("/dashboard")
async def dashboard(request: Request, state: Wired, person: Staff, span: str = "") -> HTMLResponse:
    """Figures and charts of the person's tenant; an unknown span is a day."""
    chosen = Span(span) if span in set(Span) else Span.DAY
    standing, course = await asyncio.gather(
        state.figures.standing(person.tenant), state.figures.course(person.tenant, chosen)
    )
    response = course.sla.frt_avg_minutes
    return page(
        request,
        state,
        person,
        "dashboard.html",
        standing=standing,
        course=course,
        span=chosen,
        spans=_SPANS,
        aged=datetime.now(UTC) - min(standing.at, course.at) > _AGED,
        overdue=sum(standing.overdue.values()),
        response=None if response is None else board.span_text(response * 60),
        charts=[
            board.open_chart(standing),
            board.late_chart(standing),
            board.overdue_chart(course),
            board.stay_chart(course),
            board.lateness_chart(course),
            board.load_chart(standing),
            board.mints_chart(course),
            board.approvals_chart(course, chosen),
        ],
    )
