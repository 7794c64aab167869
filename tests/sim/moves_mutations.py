"""Planted bugs of moving desks: the proof that their simulation can fail.

Each is a patch in force within its `with`; see `sim.slices_mutations`.
"""

import json
from collections.abc import Callable
from unittest.mock import patch

from guard.cluster.moves import (
    DeskIn,
    DeskOut,
    Directory,
    MoveError,
    MoveRecord,
    Place,
    Places,
    Row,
    move_digest_hex,
)
from guard.cluster.slices import SliceError
from sim.disk import ViolationError
from sim.moves_world import RESOURCE, MovesWorld, MovingGuard
from sim.planting import Patch, first_failure, played
from sim.slices_cluster import Moved

SEEDS_MAX = 12
GUARDS, FAULTY_S = 5, 90


def play(seed: int, guard_count: int = GUARDS, faulty_s: int = FAULTY_S) -> MovesWorld:
    """One history; its world. Raises ViolationError."""
    return played(MovesWorld(seed, guard_count, faulty_s))


def find(mutation: Callable[[], Patch]) -> str | None:
    """What the simulation says of the bug; None where it says nothing."""
    failures = (ViolationError, MoveError, SliceError, KeyError)
    return first_failure(mutation, play, SEEDS_MAX, failures)


def arrives_before_it_has_left() -> Patch:
    """The directory sends a desk on as soon as it is to move, with what it held once."""
    real = Directory.order

    def order(self: Directory, desk: str, to: str) -> int:
        number = real(self, desk, to)
        row = self.rows[desk]
        digest_hex = move_digest_hex(desk, number, row.holder, to, b"{}")
        row.out = DeskOut(desk, number, row.holder, to, b"{}", digest_hex)
        row.phase = "between"
        return number

    return patch.object(Directory, "order", order)


def served_on_until_the_directory_knows() -> Patch:
    """A desk that has left is served until the directory says that it has heard so."""

    def serves(self: Places, desk: str) -> bool:
        place = self._places.get(desk)
        return place is not None and (place.is_here or isinstance(place.last, DeskOut))

    return patch.object(Places, "serves", serves)


def told_before_the_record() -> Patch:
    """The directory is told what a crash may still take out of the log."""

    def untold(self: Places) -> list[MoveRecord]:
        return [place.last for place in self._places.values() if place.last is not None]

    return patch.object(Places, "untold", untold)


def arrives_again() -> Patch:
    """What has left elsewhere is taken in, whatever has come of it since."""
    real_apply = Places.apply

    def arrive(self: Places, out: DeskOut) -> DeskIn | None:
        if self.serves(out.desk):
            return None
        return DeskIn(out.desk, out.number, out.came_from, out.to, out.content, out.digest_hex)

    def apply(self: Places, record: MoveRecord) -> None:
        if isinstance(record, DeskIn):
            self._places.pop(record.desk, None)
        real_apply(self, record)

    return patch.multiple(Places, arrive=arrive, apply=apply)


def leaves_with_less() -> Patch:
    """An order that is open does not go with its desk."""
    real = Places.leave

    def leave(self: Places, desk: str, number: int, to: str, content: bytes) -> DeskOut:
        held = json.loads(content)
        for order in list(held)[:1]:
            del held[order]
        return real(self, desk, number, to, json.dumps(held).encode())

    return patch.object(Places, "leave", leave)


def late_word_moves_it_again() -> Patch:
    """A guard lets a desk go whenever it is told, by whatever number."""
    real = Places.leave

    def leave(self: Places, desk: str, number: int, to: str, content: bytes) -> DeskOut:
        place = self._places[desk]
        return real(self, desk, place.number + 1, to, content)

    return patch.object(Places, "leave", leave)


def arrives_without_a_slice() -> Patch:
    """A desk arrives where there is not enough for what its orders hold."""

    def take_in(self: MovingGuard, out: DeskOut) -> None:
        arrived = self.places.arrive(out)
        if arrived is not None:
            self.stage(Moved(RESOURCE, arrived, sum(json.loads(out.content).values())))

    return patch.object(MovingGuard, "_take_in", take_in)


def successor_believes_the_directory() -> Patch:
    """Who takes over takes the desks that the directory says, not those of its log."""
    real = MovingGuard.__init__

    def begin(self: MovingGuard, world: MovesWorld, name: str, epoch: int) -> None:
        real(self, world, name, epoch)
        for desk, row in world.cluster.directory.rows.items():
            if row.holder == name and row.phase != "between":
                self.places._places[desk] = Place(row.number, is_here=True)
                self._note(world, desk)

    return patch.object(MovingGuard, "__init__", begin)


def successor_forgets_what_is_untold() -> Patch:
    """Who takes over does not tell the directory what it may not know."""
    real = Places.recovered

    def recovered(self: Places) -> None:
        real(self)
        for place in self._places.values():
            place.last = None

    return patch.object(Places, "recovered", recovered)


def directory_goes_back() -> Patch:
    """The directory takes a record that comes late for what is so now."""

    def told(self: Directory, record: MoveRecord) -> bool:
        row = self.rows[record.desk]
        if isinstance(record, DeskOut):
            self.rows[record.desk] = Row(
                record.came_from, record.number, "between", record.to, record
            )
        else:
            self.rows[record.desk] = Row(record.to, record.number)
        return row is not None

    return patch.object(Directory, "told", told)


MUTATIONS: tuple[Callable[[], Patch], ...] = (
    arrives_before_it_has_left,
    served_on_until_the_directory_knows,
    told_before_the_record,
    arrives_again,
    leaves_with_less,
    late_word_moves_it_again,
    arrives_without_a_slice,
    successor_believes_the_directory,
    successor_forgets_what_is_untold,
    directory_goes_back,
)
