"""Text that people write: bounded, and free of what would harm a terminal, a log or a database."""

from __future__ import annotations

import unicodedata
from typing import Annotated

from pydantic import AfterValidator, Field

from domain.errors import InvalidInput

MAX_TEXT = 2000
"""Characters in a reason, a comment or a memo."""


def check_text(text: str, field: str = "text") -> str:
    """Accept printable text of at most 2,000 characters; raises InvalidInput.

    Control characters would let a reason repaint the terminal of whoever reads it, and PostgreSQL
    can't store NUL; line breaks and tabs are fine.
    """
    if len(text) > MAX_TEXT:
        raise InvalidInput(f"{field} has {len(text)} characters; at most {MAX_TEXT} are allowed", field)
    if any(unicodedata.category(char) in ("Cc", "Cs") and char not in "\n\t" for char in text):
        raise InvalidInput(f"{field} contains control characters", field)
    return text


def _plain(text: str) -> str:
    try:
        return check_text(text)
    except InvalidInput as error:
        raise ValueError(error.message) from error


PlainText = Annotated[str, Field(max_length=MAX_TEXT), AfterValidator(_plain)]
"""A reason, comment or memo."""

UserName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$")]
"""Name of a user within a tenant."""
