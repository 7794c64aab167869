"""Desks that move from one guard to another while they trade: the rules, pure.

Owns which guard may serve a desk, by the logs alone; `guard/CLUSTER_MOVES.md` says the rules in
words. A desk's moves are numbered from 1. Move `n` is two records: `DeskOut` in the log of the
guard that it leaves, with all that it leaves with, and `DeskIn` in the log of the one that it
comes to, which quotes that. Behind the first the one guard serves it no more; behind the second the
other one does. A crash in between leaves it nowhere served, and the move to be finished by whoever
continues the logs: never back, and never twice.

The `Directory` is the cluster's table of desks: it says where to ask, and hands what leaves on to
where it goes. What it says lets nobody serve: that only its own log does.

How it fails: `MoveError` for what cannot be; nothing has changed then.
"""

import hashlib
from typing import Final, Literal, TypeAlias

from msgspec import Struct

_DIGEST_TAG: Final = b"pretrade-guard.desk-move.v1\0"


class MoveError(ValueError):
    """What was asked for cannot be; nothing has changed."""


class DeskOut(Struct, frozen=True, tag="desk_out", gc=False):
    """A record: from here on the desk is not served here. `content`: all of its state."""

    desk: str
    number: int
    came_from: str
    to: str
    content: bytes
    digest_hex: str


class DeskIn(Struct, frozen=True, tag="desk_in", gc=False):
    """A record: from here on the desk is served here, with this state. `digest_hex`: the out's."""

    desk: str
    number: int
    came_from: str
    to: str
    content: bytes
    digest_hex: str


MoveRecord: TypeAlias = DeskOut | DeskIn


def move_digest_hex(desk: str, number: int, came_from: str, to: str, content: bytes) -> str:
    """What binds a desk's state to its move."""
    named = "\0".join((desk, str(number), came_from, to)).encode()
    return hashlib.sha256(_DIGEST_TAG + named + b"\0" + content).hexdigest()


class Place(Struct, gc=False):
    """What a guard's log says of a desk: its last move there, and where it went."""

    number: int
    is_here: bool
    to: str = ""
    last: MoveRecord | None = None  # to be told the directory, until it has it


class Places:
    """A guard's side: the fold of its log. `name`: the guard's, or its log's."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._places: dict[str, Place] = {}
        self._undurable: set[str] = set()

    def open(self, desk: str) -> None:
        """The desk is opened here, before any move."""
        if desk in self._places:
            raise MoveError(f"desk: {desk} was here before")
        self._places[desk] = Place(0, is_here=True)

    def serves(self, desk: str) -> bool:
        """Whether orders of the desk are answered here."""
        place = self._places.get(desk)
        return place is not None and place.is_here

    def went_to(self, desk: str) -> str:
        """What `not_here` says: where it went from here; empty where it has never been here."""
        place = self._places.get(desk)
        return "" if place is None else place.to

    def leave(self, desk: str, number: int, to: str, content: bytes) -> DeskOut:
        """The record with which the desk leaves. Raises MoveError."""
        place = self._places.get(desk)
        if place is None or not place.is_here:
            raise MoveError(f"desk: {desk} is not here")
        if number != place.number + 1:
            raise MoveError(f"number: {number} is not allowed; allowed: {place.number + 1}")
        if to == self.name:
            raise MoveError(f"to: {to} is not allowed; it is here")
        digest_hex = move_digest_hex(desk, number, self.name, to, content)
        return DeskOut(desk, number, self.name, to, content, digest_hex)

    def arrive(self, out: DeskOut) -> DeskIn | None:
        """The record with which what left elsewhere is here; None where it was here already.

        Raises MoveError for what is not for here, or not what has left.
        """
        if out.to != self.name:
            raise MoveError(f"to: {out.to} is not allowed; allowed: {self.name}")
        right = move_digest_hex(out.desk, out.number, out.came_from, out.to, out.content)
        if out.digest_hex != right:
            raise MoveError(f"digest_hex: {out.digest_hex} is not allowed; allowed: {right}")
        place = self._places.get(out.desk)
        if place is not None and (place.is_here or out.number <= place.number):
            return None
        return DeskIn(out.desk, out.number, out.came_from, out.to, out.content, out.digest_hex)

    def apply(self, record: MoveRecord) -> None:
        """Folds a record, staged or read. Raises MoveError for one that does not follow."""
        place = self._places.get(record.desk)
        if isinstance(record, DeskOut):
            if place is None or not place.is_here or record.number != place.number + 1:
                raise MoveError(f"desk: {record.desk} cannot leave by move {record.number}")
            self._places[record.desk] = Place(record.number, False, record.to, record)
        else:
            if place is not None and (place.is_here or record.number <= place.number):
                raise MoveError(f"desk: {record.desk} cannot arrive by move {record.number}")
            self._places[record.desk] = Place(record.number, True, "", record)
        self._undurable.add(record.desk)

    def durable(self, record: MoveRecord) -> None:
        """A record has become durable, under the log's epoch."""
        self._undurable.discard(record.desk)

    def recovered(self) -> None:
        """All that was applied is durable."""
        self._undurable.clear()

    def untold(self) -> list[MoveRecord]:
        """What the directory has to be told: durable, and not acknowledged yet."""
        return [
            place.last
            for desk, place in self._places.items()
            if place.last is not None and desk not in self._undurable
        ]

    def told(self, desk: str, number: int) -> None:
        """The directory has it."""
        place = self._places.get(desk)
        if place is not None and place.number == number:
            place.last = None


Phase: TypeAlias = Literal["served", "leaving", "between"]


class Row(Struct, gc=False):
    """The directory's row of a desk. `number`: of its last move, or of the one under way.

    `served`: by `holder`. `leaving`: `holder` is to let it go to `to`. `between`: it has left, and
    `out` waits for `to`.
    """

    holder: str
    number: int = 0
    phase: Phase = "served"
    to: str = ""
    out: DeskOut | None = None


class Directory:
    """The cluster's table of desks: each method is one transaction."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}

    def open(self, desk: str, holder: str) -> None:
        """A desk that is new. Raises MoveError."""
        if desk in self.rows:
            raise MoveError(f"desk: {desk} is there")
        self.rows[desk] = Row(holder)

    def order(self, desk: str, to: str) -> int:
        """A person, or what spreads the load, has a desk move; the move's number. Raises."""
        row = self.rows[desk]
        if row.phase != "served" or to == row.holder:
            raise MoveError(f"desk: {desk} is {row.phase}, at {row.holder}: it cannot go to {to}")
        row.number, row.phase, row.to = row.number + 1, "leaving", to
        return row.number

    def told(self, record: MoveRecord) -> bool:
        """A guard has that record, durably. Whether the row has it now; False: not yet its turn.

        Told again, or late, it changes nothing.
        """
        row = self.rows[record.desk]
        if record.number < row.number:
            return True
        if isinstance(record, DeskOut):
            if record.number == row.number and row.phase == "leaving":
                row.phase, row.out = "between", record
            return record.number == row.number
        if record.number == row.number and row.phase == "between":
            row.holder, row.phase, row.to, row.out = record.to, "served", "", None
        return record.number == row.number and row.phase == "served"

    def concerning(self, guard: str) -> list[tuple[str, Row]]:
        """What a guard has to do: desks that are to leave it, and such as wait for it."""
        return [
            (desk, row)
            for desk, row in self.rows.items()
            if (row.phase == "leaving" and row.holder == guard)
            or (row.phase == "between" and row.to == guard)
        ]
