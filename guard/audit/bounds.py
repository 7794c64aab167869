"""What part of a log an auditor asks for, and a checkpoint that the log must agree with.

Owns `--from` and `--to` of the replay (`Bounds`), and the reconciliation of a replay with a
checkpoint (`Reconciliation`). Both are observers of `guard.replay`: the whole log is replayed all
the same, since a state needs all that came before.

How it fails: `BoundsError` for a bound that is no sequence, date or time; `ReplayMismatch` where
the state that was replayed is not the checkpoint's.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from guard.engine.state import GuardState
from guard.recovery.checkpoint_payload import state_digest_hex
from guard.replay.place import Place
from guard.replay.redecide import Replayed
from guard.replay.replay import Observer, ReplayMismatch
from wal import Head, hashes_equal
from wal.entry import SEQUENCE_MAX

_SEQUENCE: Final = re.compile(r"[1-9][0-9]{0,19}")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
# As `check-proof` and people write one. No more of ISO 8601: `2026-W47-1` is a date there as well.
_TIME: Final = re.compile(
    r"(?P<minute>[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2})"
    r"(?P<second>:[0-9]{2}(?:[.](?P<fraction>[0-9]{1,9}))?)?"
    r"(?: ?(?P<zone>Z|UTC|[+-][0-9]{2}:[0-9]{2}))?"
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND: Final = timedelta(seconds=1)
_SECOND_NS: Final = 1_000_000_000
_DAY_NS: Final = 86_400 * _SECOND_NS


class BoundsError(ValueError):
    """A bound that is neither a sequence nor a date or time."""


@dataclass(slots=True)
class Bounds:
    """From where to where records are meant, both ends included; None where there is no end.

    Times are nanoseconds since 1970-01-01 UTC, and compared with when a record was received.
    """

    first_sequence: int | None = None
    last_sequence: int | None = None
    first_ns: int | None = None
    last_ns: int | None = None
    record_count: int = 0

    def within(self, observe: Observer) -> Observer:
        """An observer that tells `observe` of the records that are meant, and counts them."""

        def observe_within(place: Place, decided: Replayed, state: GuardState) -> None:
            if self._holds(place.sequence, decided.received_at_ns):
                self.record_count += decided.place == 0
                observe(place, decided, state)

        return observe_within

    @property
    def is_whole(self) -> bool:
        """Whether every record is meant."""
        ends = (self.first_sequence, self.last_sequence, self.first_ns, self.last_ns)
        return all(end is None for end in ends)

    def _holds(self, sequence: int, received_at_ns: int) -> bool:
        return (
            (self.first_sequence is None or sequence >= self.first_sequence)
            and (self.last_sequence is None or sequence <= self.last_sequence)
            and (self.first_ns is None or received_at_ns >= self.first_ns)
            and (self.last_ns is None or received_at_ns <= self.last_ns)
        )


def bounds_of(first: str | None, last: str | None) -> Bounds:
    """The bounds that two texts say. Raises BoundsError.

    Each is a sequence, a date (`2026-11-23`, of UTC, the whole day included) or a time, to the
    nanosecond (`2026-11-23T09:30`, `2026-11-23 09:30:00.123456789 UTC`, `…T09:30:00+01:00`; UTC
    where it names no zone; what is left out of one is zero).
    """
    bounds = Bounds()
    if first is not None:
        if _SEQUENCE.fullmatch(first):
            bounds.first_sequence = _sequence("--from", first)
        else:
            bounds.first_ns = _time_ns("--from", first)
    if last is not None:
        if _SEQUENCE.fullmatch(last):
            bounds.last_sequence = _sequence("--to", last)
        elif _DATE.fullmatch(last):
            bounds.last_ns = _time_ns("--to", last) + _DAY_NS - 1
        else:
            bounds.last_ns = _time_ns("--to", last)
    for low, high in (
        (bounds.first_sequence, bounds.last_sequence),
        (bounds.first_ns, bounds.last_ns),
    ):
        if low is not None and high is not None and low > high:
            raise BoundsError(f"--from, --to: {first} is after {last}")
    return bounds


def _sequence(flag: str, text: str) -> int:
    if int(text) > SEQUENCE_MAX:
        raise BoundsError(f"{flag}: {text} is above the greatest sequence, {SEQUENCE_MAX}")
    return int(text)


def _time_ns(flag: str, text: str) -> int:
    """The time, or the beginning of the date, in nanoseconds since 1970-01-01 UTC."""
    fraction, whole = "", text
    if not _DATE.fullmatch(text):
        found = _TIME.fullmatch(text)
        if found is None:
            raise _no_bound(flag, text)
        fraction = found["fraction"] or ""
        zone = found["zone"] or "Z"
        whole = found["minute"] + (found["second"] or "")[:3] + ("Z" if zone == "UTC" else zone)
    try:
        time = datetime.fromisoformat(whole)
    except ValueError:  # no such day, hour or zone
        raise _no_bound(flag, text) from None
    since = (time if time.tzinfo is not None else time.replace(tzinfo=UTC)) - _EPOCH
    return since // _SECOND * _SECOND_NS + int(fraction.ljust(9, "0"))


def _no_bound(flag: str, text: str) -> BoundsError:
    return BoundsError(
        f"{flag}: {text!r} is no sequence, date or time: such as 1200, 2026-11-23 or "
        "2026-11-23T09:30:00.123456789Z"
    )


@dataclass(slots=True)
class Reconciliation:
    """A checkpoint's record and the digest of its state; `is_done` once the replay agreed."""

    head: Head
    state_digest_hex: str
    is_done: bool = False

    def observe(self, place: Place, decided: Replayed, state: GuardState) -> None:
        """Compares the state after the checkpoint's record. Raises ReplayMismatch."""
        del decided
        if place.sequence != self.head.sequence:
            return
        if not hashes_equal(place.entry_hash, self.head.entry_hash):
            reason = "the record is not the one that the checkpoint was taken after"
        elif (digest_hex := state_digest_hex(state)) != self.state_digest_hex:
            reason = (
                f"the state replayed up to here has the digest {digest_hex}; "
                f"the checkpoint's is {self.state_digest_hex}"
            )
        else:
            self.is_done = True
            return
        raise ReplayMismatch(place.segment, place.offset, place.sequence, reason)


def all_of(*observers: Observer) -> Observer:
    """One observer that tells each of these, in order."""

    def observe(place: Place, decided: Replayed, state: GuardState) -> None:
        for each in observers:
            each(place, decided, state)

    return observe
