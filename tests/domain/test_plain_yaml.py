"""YAML of configuration files: what is read, what is refused, and in which line."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidInput
from domain.plain_yaml import MOST_BYTES, read_yaml, write_yaml

TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=10,
)


def test_texts_stay_texts():
    """No surprise of old YAML: countries, times, dates, octal numbers."""
    text = "a: NO\nb: [09:00, 12:30]\nc: 2026-12-24\nd: 007\ne: yes\nf: 0x1F\ng: 1_000\nh: on\nNO: 10\n"
    assert read_yaml(text) == {
        "a": "NO", "b": ["09:00", "12:30"], "c": "2026-12-24", "d": "007", "e": "yes", "f": "0x1F",
        "g": "1_000", "h": "on", "NO": 10,
    }  # fmt: skip


def test_plain_values_are_read():
    """Null, booleans, numbers; keys are always texts."""
    assert read_yaml("a: null\nb: ~\nc:\nd: true\ne: -3\nf: 1.5\n10: {1: x}\n") == {
        "a": None, "b": None, "c": None, "d": True, "e": -3, "f": 1.5, "10": {"1": "x"},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3: 'a' is given twice"),
        ("a:\n  b: 1\n  b: 2\n", "line 3: 'b' is given twice"),
        ("'1': a\n1: b\n", "line 2: '1' is given twice"),
        ("a: 1\nb: &x 2\nc: *x\n", "line 2: anchors"),
        ("a: &x [1, 1]\n", "line 1: anchors"),
        ("a: !!python/object/apply:os.system [x]\n", "line 1: tags"),
        ("a: !secret x\n", "line 1: tags"),
        ("a: 1\n---\nb: 2\n", "line 2: a second document"),
        ("[" * 100_000, "line 1: more than 12"),
        ("{a: " * 20, "line 1: more than 12"),
        ("a:\n  - x\n b: 1\n", "line 3"),
        ("a: 'x\n", "line 2"),
        ("a: b: c\n", "line 1"),
        ("a: 1\n\tb: 2\n", "line 2"),
        ("a: 1\nb: \x00\n", "line 2"),
        ("? [1]\n: x\n", "line 1: a key must be a plain word"),
    ],
)
def test_what_surprises_is_refused_with_its_line(text, words):
    """Keys given twice, anchors, tags, depth, broken YAML: nothing is built of any of it."""
    with pytest.raises(InvalidInput, match=words) as refused:
        read_yaml(text, "acme.yaml")
    assert refused.value.message.startswith("acme.yaml: ")
    assert refused.value.field == "file"


def test_a_bomb_of_aliases_is_refused_before_it_grows():
    """Nine lines that would become a billion texts."""
    lines = [
        "a: &a [x, x]",
        *(f"{b}: &{b} [*{a}, *{a}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
    ]
    with pytest.raises(InvalidInput, match="anchors"):
        read_yaml("\n".join(lines))


def test_size_and_encoding_are_bounded():
    """A megabyte of UTF-8 at most."""
    with pytest.raises(InvalidInput, match="at most 1000000"):
        read_yaml(b"a" * (MOST_BYTES + 1))
    with pytest.raises(InvalidInput, match="not UTF-8"):
        read_yaml(b"a: \xff\n")


@given(st.dictionaries(TEXTS, VALUES, max_size=5))
def test_what_is_written_is_read_again(document):
    """Whatever the texts look like."""
    assert read_yaml(write_yaml(document)) == document


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_garbage_never_does_more_than_be_refused(garbage):
    """Every answer is a value or InvalidInput."""
    with contextlib.suppress(InvalidInput):
        read_yaml(garbage)
