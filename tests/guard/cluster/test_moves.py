"""Moves of desks, rule by rule; `tests/test_moves_sim.py` has them with all that goes wrong."""

import msgspec
import pytest

from guard.cluster.moves import DeskIn, DeskOut, Directory, MoveError, MoveRecord, Places

DESK = "desk-alpha"
CONTENT = b'{"A-1":5}'


def settled(places: Places, record: MoveRecord | None) -> MoveRecord:
    """The record, applied and durable."""
    assert record is not None
    places.apply(record)
    places.durable(record)
    return record


@pytest.fixture
def directory() -> Directory:
    directory = Directory()
    directory.open(DESK, "a")
    return directory


@pytest.fixture
def a() -> Places:
    places = Places("a")
    places.open(DESK)
    return places


def left(directory: Directory, a: Places) -> DeskOut:
    """Move 1, from a to b, halfway."""
    assert directory.order(DESK, "b") == 1
    ((desk, row),) = directory.concerning("a")
    record = settled(a, a.leave(desk, row.number, row.to, CONTENT))
    assert isinstance(record, DeskOut)
    assert directory.told(record)
    a.told(DESK, 1)
    return record


def test_a_desk_moves_there_and_back(directory: Directory, a: Places) -> None:
    b = Places("b")
    out = left(directory, a)
    assert not a.serves(DESK)
    assert a.went_to(DESK) == "b"
    assert directory.concerning("a") == []
    ((_, row),) = directory.concerning("b")
    assert row.out == out
    arrived = settled(b, b.arrive(out))
    assert arrived == DeskIn(DESK, 1, "a", "b", CONTENT, out.digest_hex)
    assert b.serves(DESK)
    assert b.untold() == [arrived]
    assert directory.told(arrived)
    b.told(DESK, 1)
    assert b.untold() == []
    assert directory.rows[DESK].holder == "b"
    assert directory.order(DESK, "a") == 2
    back = settled(b, b.leave(DESK, 2, "a", b"{}"))
    assert directory.told(back)
    assert isinstance(back, DeskOut)
    settled(a, a.arrive(back))
    assert a.serves(DESK)
    assert a.went_to(DESK) == ""


def test_what_is_told_again_or_late_changes_nothing(directory: Directory, a: Places) -> None:
    b = Places("b")
    out = left(directory, a)
    assert directory.told(out)
    arrived = settled(b, b.arrive(out))
    assert b.arrive(out) is None
    assert directory.told(arrived)
    assert directory.told(out)  # the first half, late
    assert directory.told(arrived)
    assert (directory.rows[DESK].phase, directory.rows[DESK].holder) == ("served", "b")
    settled(b, b.leave(DESK, 2, "a", b"{}"))
    assert b.arrive(out) is None  # it has been here, and has gone


def test_a_crash_in_between_leaves_it_nowhere(directory: Directory, a: Places) -> None:
    out = left(directory, a)
    successor = Places("a")
    successor.open(DESK)
    successor.apply(out)
    successor.recovered()
    assert not successor.serves(DESK)
    assert successor.untold() == [out]
    b = Places("b")
    assert not b.serves(DESK)
    assert b.went_to(DESK) == ""


def test_nothing_is_told_before_it_is_durable(a: Places) -> None:
    out = a.leave(DESK, 1, "b", CONTENT)
    a.apply(out)
    assert a.untold() == []
    a.durable(out)
    assert a.untold() == [out]


def test_what_cannot_be_is_refused(directory: Directory, a: Places) -> None:
    with pytest.raises(MoveError, match="number: 2 is not allowed; allowed: 1"):
        a.leave(DESK, 2, "b", CONTENT)
    with pytest.raises(MoveError, match="to: a is not allowed; it is here"):
        a.leave(DESK, 1, "a", CONTENT)
    with pytest.raises(MoveError, match="desk: nowhere is not here"):
        a.leave("nowhere", 1, "b", CONTENT)
    with pytest.raises(MoveError, match="was here before"):
        a.open(DESK)
    with pytest.raises(MoveError, match="it cannot go to a"):
        directory.order(DESK, "a")
    out = left(directory, a)
    with pytest.raises(MoveError, match="desk-alpha is between, at a: it cannot go to c"):
        directory.order(DESK, "c")
    with pytest.raises(MoveError, match="to: b is not allowed; allowed: c"):
        Places("c").arrive(out)
    for change in ({"content": b"{}"}, {"number": 7}, {"desk": "other"}, {"came_from": "c"}):
        with pytest.raises(MoveError, match="digest_hex: "):
            Places("b").arrive(msgspec.structs.replace(out, **change))
    with pytest.raises(MoveError, match="cannot leave by move 1"):
        a.apply(out)
    arrived = DeskIn(DESK, 1, "b", "a", CONTENT, "")
    with pytest.raises(MoveError, match="cannot arrive by move 1"):
        a.apply(arrived)
    with pytest.raises(MoveError, match="desk-alpha is there"):
        directory.open(DESK, "b")
