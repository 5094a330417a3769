"""What a check of `doctor` found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

from commands.documents import Document

State = Literal["ok", "note", "failed"]


@dataclass(frozen=True)
class Finding:
    """What one check found; `mend` says what to do about it."""

    name: str
    state: State
    detail: str
    mend: str = ""

    @property
    def failed(self) -> bool:
        """Something does not work."""
        return self.state == "failed"

    def document(self) -> Document:
        """As `doctor --json` gives it."""
        return asdict(self)
