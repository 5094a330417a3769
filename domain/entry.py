"""What an entry of a dictionary is: its kind, its name, its fields, and what it may refer to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Final

from pydantic import BaseModel, ConfigDict

_MOST_NAMED: Final = 12


class Kind(StrEnum):
    """The dictionaries, in the order in which entries can refer to each other."""

    DEPARTMENT = "department"
    CALENDAR = "calendar"
    TOPIC = "topic"
    USER = "user"
    STATUS = "status"
    TRANSITION = "transition"
    RULE = "rule"
    CHANNEL = "channel"
    EVENT_RULE = "event-rule"
    TENANT = "tenant"

    @property
    def section(self) -> str:
        """Its name in a configuration file."""
        if self is Kind.TENANT:
            return "tenant"
        plain = self.value.replace("-", "_")
        return f"{plain}es" if self is Kind.STATUS else f"{plain}s"


@dataclass(frozen=True)
class Known:
    """What entries may refer to: codes by kind (`policy` too), and the sample of it that messages name."""

    codes: Mapping[str, frozenset[str]]

    def has(self, kind: str, code: object) -> bool:
        """Tell whether there is such an entry."""
        return code in self.codes.get(kind, frozenset())

    def like(self, kind: str, code: str) -> str | None:
        """An entry whose name differs in case only, if there is one."""
        alike = (known for known in self.codes.get(kind, ()) if known.casefold() == code.casefold())
        return min((known for known in alike if known != code), default=None)

    def sample(self, kind: str) -> str:
        """The first few, for a message."""
        known = sorted(self.codes.get(kind, ()))
        more = ", …" if len(known) > _MOST_NAMED else ""
        return f"there are {', '.join(known[:_MOST_NAMED])}{more}" if known else "there is none yet"


class Entry(BaseModel):
    """An entry of a dictionary; `code` and what is made of it are no fields of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    named_by: ClassVar[tuple[str, ...]] = ("code",)
    refers: ClassVar[Mapping[str, str]] = {}
    """Fields that name entries of other dictionaries."""

    @classmethod
    def named(cls, code: str) -> dict[str, Any]:
        """What the code says."""
        return {cls.named_by[0]: code}

    @classmethod
    def defaults(cls, code: str) -> dict[str, Any]:
        """Of a new entry, beside those of the model."""
        del code
        return {}

    @classmethod
    def clashes(cls, raw: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Rules about several fields; those that are wrong by themselves are reported before."""
        del raw
        return iter(())

    def fields(self) -> dict[str, Any]:
        """Everything but its name, as files and the API show it."""
        return self.model_dump(mode="json", by_alias=True, exclude=set(self.hidden()))

    @classmethod
    def hidden(cls) -> tuple[str, ...]:
        """Names of the model's attributes that the code says."""
        return cls.named_by

    @classmethod
    def names(cls) -> list[str]:
        """The fields that an entry may have."""
        hidden = set(cls.hidden())
        return [field.alias or name for name, field in cls.model_fields.items() if name not in hidden]
