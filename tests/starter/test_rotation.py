"""Rotating the authority's keys: nothing that was signed is lost before its time, nothing lives for ever."""

import os
import stat
import threading
from datetime import UTC, datetime, timedelta

import pytest

from domain.ack import LIFETIME, decode
from domain.errors import AckRefused, ConfigurationError, Refused
from starter import key_file
from starter.authority import open_authority
from starter.key_file import SETTLING, parse_seeds, rotate
from tests.domain.test_ack import CLAIM

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = LIFETIME + SETTLING


@pytest.fixture
def path(tmp_path):
    """Where the keys are kept."""
    return tmp_path / "keys" / "authority.seeds"


def ids(kept):
    """The keys by name."""
    return [key.id for key in kept]


def test_the_first_rotation_makes_a_file_for_its_owner_only(path):
    """One seed with its date, mode 0600."""
    done = rotate(path, NOW)
    assert (len(done.kept), done.dropped) == (1, [])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    first, second = path.read_text().splitlines()
    assert first == "# created 2026-03-01T12:00:00+00:00"
    assert len(second) == 64


def test_an_old_key_stays_until_its_last_token_has_run_out(path):
    """It signed until its successor came: 24 h after that nothing needs it."""
    first = rotate(path, NOW).kept[0]
    second = rotate(path, NOW + timedelta(days=30))
    assert ids(second.kept) == [second.made.id, first.id]
    soon = rotate(path, NOW + timedelta(days=30) + DAY - timedelta(seconds=1), make=False)
    assert (ids(soon.kept), soon.made) == (ids(second.kept), None)
    late = rotate(path, NOW + timedelta(days=30) + DAY, make=False)
    assert (ids(late.kept), ids(late.dropped)) == ([second.made.id], [first.id])
    assert ids(parse_seeds(path.read_text(), "it")) == [second.made.id]


def test_many_rotations_leave_two_keys_at_most(path):
    """Once a month for a year: the file does not grow."""
    for month in range(12):
        done = rotate(path, NOW + timedelta(days=30 * month))
        assert len(done.kept) <= 2


def test_a_leak_drops_every_old_key_at_once(path):
    """With a new one, or keeping the first when only an older one leaked."""
    for day in range(3):
        rotate(path, NOW + timedelta(hours=day))
    only = rotate(path, NOW + timedelta(hours=4), drop_all=True)
    assert (ids(only.kept), len(only.dropped)) == ([only.made.id], 3)
    rotate(path, NOW + timedelta(hours=5))
    first = parse_seeds(path.read_text(), "it")[0].id
    assert ids(rotate(path, NOW + timedelta(hours=6), make=False, drop_all=True).kept) == [first]


def test_nothing_can_be_dropped_where_nothing_is(path):
    """There is no file; none is made."""
    with pytest.raises(Refused, match="no key at"):
        rotate(path, NOW, make=False)
    assert not path.exists()


def test_rotations_at_the_same_time_lose_no_seed(path):
    """Each one's key is in the file afterwards: one came after the other."""
    made = []
    threads = [threading.Thread(target=lambda: made.append(rotate(path, NOW).made.id)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ids(parse_seeds(path.read_text(), "it"))) == sorted(made)
    assert len(set(made)) == 8


def test_a_death_before_the_replacement_leaves_the_old_file(path, monkeypatch):
    """Killed after the new file was written beside it: the old one counts, and the next rotation works."""
    before = ids(rotate(path, NOW).kept)

    def die(_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(key_file.os, "fsync", die)
        with pytest.raises(KeyboardInterrupt):
            rotate(path, NOW + timedelta(days=1))
    assert ids(parse_seeds(path.read_text(), "it")) == before
    assert len(rotate(path, NOW + timedelta(days=1)).kept) == 2


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "holds no seed"),
        ("# a comment\n", "holds no seed"),
        ("0" * 64, "no '# created'"),
        ("# created yesterday\n" + "0" * 64, "no moment"),
        ("# created 2026-03-01T12:00:00\n" + "0" * 64, "no time zone"),
        ("# created 2026-03-01T12:00:00+00:00\ns3cret", "line 2 of"),
        ("# created 2026-03-01T12:00:00+00:00\n" + "ab" * 31, "64 hex digits"),
    ],
)
def test_an_unusable_file_is_refused_without_being_shown(path, content, words):
    """At the start and at a rotation, which then changes nothing."""
    rotate(path, NOW)
    path.write_text(content)
    for act in (lambda: open_authority(f"file:{path}"), lambda: rotate(path, NOW)):
        with pytest.raises(ConfigurationError, match=words) as caught:
            act()
        assert "s3cret" not in caught.value.message
    assert path.read_text() == content


def test_an_open_authority_follows_the_file(path):
    """No restart: the next token is the new key's, the old ones are believed until they are dropped."""
    rotate(path, NOW)
    authority = open_authority(f"file:{path}")
    old = authority.issue(CLAIM)
    rotate(path, NOW + timedelta(days=1))
    new = authority.issue(CLAIM)
    assert new != old
    assert authority.verify(decode(old)) == authority.verify(decode(new)) == CLAIM
    rotate(path, NOW + timedelta(days=1), drop_all=True)
    for token in (old, new):
        with pytest.raises(AckRefused):
            authority.verify(decode(token))
    assert authority.verify(decode(authority.issue(CLAIM))) == CLAIM


@pytest.mark.parametrize("harm", [lambda path: path.unlink(), lambda path: path.write_text("rubbish"),
                                  lambda path: path.chmod(0o644) or os.utime(path, (1, 1))])  # fmt: skip
def test_a_file_that_breaks_meanwhile_costs_no_link(path, harm, caplog):
    """Removed, overwritten, readable by others: the keys stay, and the log says what is wrong, once."""
    rotate(path, NOW)
    authority = open_authority(f"file:{path}")
    token = authority.issue(CLAIM)
    harm(path)
    for _ in range(3):
        assert authority.verify(decode(token)) == CLAIM
    assert len([record for record in caplog.records if "stay as they were" in record.message]) == 1
    path.unlink(missing_ok=True)
    rotate(path, NOW)
    with pytest.raises(AckRefused):
        authority.verify(decode(token))
