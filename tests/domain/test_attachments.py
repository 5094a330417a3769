"""Names and contents of documents: whatever is typed or sent, what comes out is harmless."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.attachments import KINDS, LONGEST_NAME, Announcement, Inspector, clean_filename
from domain.errors import InvalidInput


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("../../etc/passwd.txt", "passwd.txt"),
        ("C:\\temp\\..\\invoice.PDF", "invoice.PDF"),
        ("a\u202efdp.exe.pdf", "afdp.exe.pdf"),
        ("..hidden.pdf", "hidden.pdf"),
        ("  two   words\u2028.pdf ", "two words .pdf"),
        ("re\u0301sume\u0301.pdf", "résumé.pdf"),
        ("a\r\nb.pdf", "ab.pdf"),
        ("x" * 300 + ".pdf", "x" * 196 + ".pdf"),
    ],
)
def test_names_are_cleaned(typed, kept):
    """The last part, without what is invisible, no longer than the column."""
    assert clean_filename(typed) == kept


@pytest.mark.parametrize("typed", ["", ".", "..", "/", "pdf", ".pdf", "a/", "\u202e.pdf", "\x00"])
def test_names_without_a_stem_or_an_ending_are_refused(typed):
    """Nothing is made up."""
    with pytest.raises(InvalidInput):
        clean_filename(typed)


@given(st.text(max_size=400))
def test_no_name_gets_through_with_a_path_or_what_is_invisible(typed):
    """Whatever is typed; and a clean name stays as it is."""
    try:
        name = clean_filename(f"{typed}.pdf")
    except InvalidInput:
        return
    assert 0 < len(name) <= LONGEST_NAME
    assert not set(name) & set("/\\\n\r")
    assert not any(unicodedata.category(char).startswith("C") for char in name)
    assert clean_filename(name) == name


@pytest.mark.parametrize("kind", ["text/html", "image/svg+xml", "application/javascript", "application/zip"])
def test_no_kind_is_one_that_a_browser_runs(kind):
    """Neither by its name nor by its ending."""
    assert kind not in KINDS
    with pytest.raises(InvalidInput):
        Announcement.checked("a.pdf", kind, 1, None, 10)


def test_a_content_type_may_have_parameters():
    """As a browser sends it."""
    assert (
        Announcement.checked("a.TXT", "text/plain; charset=utf-8", 1, None, 10).content_type == "text/plain"
    )


@given(st.lists(st.sampled_from([b"%", b"PDF", b"-", b"%PDF-", b"1.7", b""]), max_size=8))
async def test_the_beginning_is_looked_at_however_it_is_cut(parts):
    """A PDF in any pieces is one, and what is none is refused in any pieces."""
    content = b"".join(parts)
    announced = Announcement("a.pdf", "application/pdf", max(len(content), 1))

    async def chunks():
        for part in parts:
            yield part

    inspector = Inspector(announced)
    try:
        seen = [part async for part in inspector.passing(chunks())]
    except InvalidInput:
        assert not content.startswith(b"%PDF-")
    else:
        assert content.startswith(b"%PDF-")
        assert b"".join(seen) == content
