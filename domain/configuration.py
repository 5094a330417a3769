"""A tenant's dictionaries as one document: `{section: {code: {field: value}}}`, and what differs in two."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from domain.entry import Kind
from domain.entry_fields import shown
from domain.errors import InvalidInput

Fields = Mapping[str, Any]
Entries = Mapping[str, Fields]
Configuration = Mapping[Kind, Entries]

SECTIONS: Final = {kind.section: kind for kind in Kind}
CONTACTS: Final = frozenset({"email", "telegram_chat", "slack_user", "slack_channel", "settings"})
"""Fields that the API never gives away: whoever reads it has not signed in."""

_LONGEST_NAME: Final = 160
"""Characters; the name of a transition has up to 100."""

HIDDEN: Final = "(hidden)"


class Change(BaseModel):
    """What became of a field, or (before is None) of a whole new entry."""

    model_config = ConfigDict(frozen=True)

    entry: Annotated[str, Field(exclude=True)]
    """The path of the entry that it is a part of."""
    path: str
    """`topics.treasury-eu.calendar`, or `topics.treasury-asia` for a new one."""
    before: Any
    after: Any

    @property
    def is_new(self) -> bool:
        """Tell whether it is a whole entry that was not there."""
        return self.path == self.entry


def read_configuration(document: Any, tenant: str) -> dict[Kind, dict[str, dict[str, Any]]]:
    """The sections of a parsed document, for this tenant.

    Raises InvalidInput with a message for each path that can't be: what the fields hold is not looked at.
    """
    if not isinstance(document, Mapping):
        raise InvalidInput(
            f"a configuration is sections such as topics and users, not {shown(document)}", "file"
        )
    found: dict[Kind, dict[str, dict[str, Any]]] = {}
    problems: dict[str, str] = {}
    for name, section in document.items():
        kind = SECTIONS.get(name) if isinstance(name, str) else None
        if kind is None:
            problems[_word(str(name))] = f"is no section: there are {', '.join(SECTIONS)}"
            continue
        entries = {tenant: section} if kind is Kind.TENANT else section
        if not isinstance(entries, Mapping):
            problems[_word(str(name))] = f"must be entries by name, not {shown(entries)}"
            continue
        for code, fields in entries.items():
            path = entry_path(kind, str(code))
            if not isinstance(fields, Mapping) or any(not isinstance(key, str) for key in fields):
                problems[path] = f"must be fields and values, not {shown(fields)}"
            else:
                found.setdefault(kind, {})[str(code)] = dict(fields)
    if problems:
        raise InvalidInput("the configuration can't be read", fields=problems)
    return {kind: found[kind] for kind in Kind if kind in found}


def as_document(configuration: Configuration) -> dict[str, Any]:
    """The document that `read_configuration` reads, with every section in its order."""
    document: dict[str, Any] = {}
    for fields in configuration.get(Kind.TENANT, {}).values():
        document[Kind.TENANT.section] = dict(fields)
    for kind in Kind:
        if kind is not Kind.TENANT:
            entries = configuration.get(kind, {})
            document[kind.section] = {code: dict(fields) for code, fields in entries.items()}
    return document


def exported(configuration: Configuration) -> dict[str, Any]:
    """The document to keep, or to give to another tenant: a name is as much its own as its code."""
    document = as_document(configuration)
    document.get(Kind.TENANT.section, {}).pop("name", None)
    return document


def without_contacts(fields: Fields) -> dict[str, Any]:
    """Fields for those who have not signed in."""
    return {name: value for name, value in fields.items() if name not in CONTACTS}


def entry_path(kind: Kind, code: str) -> str:
    """Where an entry stands in a document; names that no entry can have are shown without harm."""
    return kind.section if kind is Kind.TENANT else f"{kind.section}.{_word(code)}"


def _word(name: str) -> str:
    return name if name.isprintable() and len(name) <= _LONGEST_NAME else shown(name).strip("'")


def differences(before: Configuration, after: Configuration) -> list[Change]:
    """Every field that changed and every entry that is new, in the order of the sections."""
    return [
        change
        for kind in Kind
        for code, fields in after.get(kind, {}).items()
        for change in _changes(entry_path(kind, code), before.get(kind, {}).get(code), fields)
    ]


def _changes(path: str, before: Fields | None, after: Fields) -> Iterator[Change]:
    if before is None:
        yield Change(entry=path, path=path, before=None, after=dict(after))
        return
    for name, value in after.items():
        if before.get(name) != value:
            yield Change(entry=path, path=f"{path}.{name}", before=before.get(name), after=value)


def hidden(change: Change) -> Change:
    """The same for those who have not signed in: that a contact changes, and not what it is."""
    if change.is_new:
        return change.model_copy(update={"after": without_contacts(change.after)})
    if change.path.rpartition(".")[2] in CONTACTS:
        return change.model_copy(update={"before": HIDDEN, "after": HIDDEN})
    return change
