"""YAML as far as configuration needs it: maps, lists, texts, numbers, true, false, null.

What surprises people is refused or left alone: keys given twice, anchors and aliases (whose expansion can
fill a machine), tags, several documents. `no`, `12:30` and `2026-12-24` are texts; every key is one.
"""

from __future__ import annotations

import re
from typing import Any, Final

import yaml

from domain.errors import InvalidInput

MOST_BYTES: Final = 1_000_000
MOST_DEPTH: Final = 12
"""Maps and lists inside each other."""

_PLAIN = (
    ("tag:yaml.org,2002:null", re.compile(r"(?:~|null|)$"), ["~", "n", ""]),
    ("tag:yaml.org,2002:bool", re.compile(r"(?:true|false)$"), ["t", "f"]),
    ("tag:yaml.org,2002:int", re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})$"), list("-+0123456789")),
    ("tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+\.[0-9]+$"), list("-+0123456789")),
)


_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The fast one where the library was built with it."""


class _Loader(_Base):  # type: ignore[misc]  # which of both it is, is known at run time
    """Types as in YAML 1.2, and keys that are texts, each once."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  # the library's own name

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = True) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _at(key.start_mark, "a key must be a plain word")
            if key.value in found:
                raise _at(key.start_mark, f"{key.value!r} is given twice")
            found[key.value] = self.construct_object(value, deep=deep)
        return found


for _tag, _pattern, _first in _PLAIN:
    _Loader.add_implicit_resolver(_tag, _pattern, _first)
_Loader.add_constructor("tag:yaml.org,2002:map", lambda loader, node: loader.construct_mapping(node))


def read_yaml(text: bytes | str, name: str = "the file") -> Any:
    """The one document in a text; raises InvalidInput with the line that is wrong."""
    content = _decoded(text, name)
    try:
        _check_shape(content)
        return yaml.load(content, Loader=_Loader)  # noqa: S506  # a safe loader, narrowed further
    except InvalidInput as error:
        raise InvalidInput(f"{name}: {error.message}", "file") from error
    except yaml.YAMLError as error:
        raise InvalidInput(f"{name}: {_said(error, content)}", "file") from error


def write_yaml(document: Any) -> str:
    """A document in block style, keys as they come, short lists on one line."""
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, default_flow_style=None, width=100)


def _decoded(text: bytes | str, name: str) -> str:
    if len(text) > MOST_BYTES:
        raise InvalidInput(f"{name} has {len(text)} bytes; at most {MOST_BYTES} are read", "file")
    try:
        return text if isinstance(text, str) else text.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{name} is not UTF-8 text", "file") from error


def _check_shape(content: str) -> None:
    """Look at the events one by one, before anything is built of them."""
    depth = documents = 0
    for event in yaml.parse(content, Loader=_Base):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        documents += isinstance(event, yaml.DocumentStartEvent)
        if depth > MOST_DEPTH:
            raise _at(event.start_mark, f"more than {MOST_DEPTH} maps and lists inside each other")
        if documents > 1:
            raise _at(event.start_mark, "a second document begins: write one")
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise _at(event.start_mark, "anchors and aliases (& and *) are not read: write it out")
        if getattr(event, "tag", None) is not None:
            raise _at(event.start_mark, "tags (!) are not read: write plain values")


def _at(mark: Any, told: str) -> InvalidInput:
    return InvalidInput(f"line {mark.line + 1}: {told}", "file")


def _said(error: yaml.YAMLError, content: str) -> str:
    if isinstance(error, yaml.reader.ReaderError):
        line = content.count("\n", 0, error.position) + 1
        return f"line {line}: a character that YAML does not allow ({error.reason})"
    mark = getattr(error, "problem_mark", None)
    told = getattr(error, "problem", None) or str(error)
    return f"line {mark.line + 1}: {told}" if mark else told
