"""What ran while the slowest messages waited: a run of the guard, 10 ms by 10 ms. Pure.

Owns the trace's shape and what it is summed up to. Every slice has the slowest message that was due
in it (open loop) or sent, and what was seen of the daemon by its end: processor time of its main
thread, time that this thread waited for a processor, bytes of the log. Beside them stands what else
the daemon did, as spans of time.

How it is read: a task of the daemon stalls orders where the slices in which it ran have slower
messages than the others. A slow slice in which the log did not grow waited for the disk; one whose
main thread waited for a processor, for the machine.
"""

import statistics
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

SLICE_NS: Final = 10_000_000
SLICES_MAX: Final = 360_000  # an hour's
SLOWEST_SHOWN: Final = 10

CHECKPOINT: Final = "checkpoint written"
SEGMENT: Final = "log segment begun"
METRICS: Final = "metrics asked for"
GARBAGE: Final = "garbage collected"
LOG_STOOD_STILL: Final = "log did not grow"
NO_PROCESSOR: Final = "main thread waited for a processor"
WAITED_NS_MIN: Final = SLICE_NS // 2  # of a slice: less is not worth a name

Slowest = dict[int, tuple[int, int]]  # by slice: messages, nanoseconds of the slowest


class Span(Struct, frozen=True, forbid_unknown_fields=True):
    """Something that ran; nanoseconds since the window's start."""

    what: str
    from_ns: int
    to_ns: int
    detail: str = ""


class Sample(Struct, frozen=True, forbid_unknown_fields=True):
    """The daemon, as far as it had come; the first three since it started."""

    at_ns: int  # since the window's start
    ran_ns: int
    waited_ns: int
    log_bytes: int


class Slice(Struct, frozen=True, forbid_unknown_fields=True):
    """10 ms of the run, from `from_ns` since the window's start."""

    from_ns: int
    messages: int
    slowest_ns: int
    main_ran_ns: int
    main_waited_ns: int
    log_bytes: int
    ran: list[str]


class Effect(Struct, frozen=True, forbid_unknown_fields=True):
    """The slowest message of a slice, over the slices in which something ran, or did not."""

    what: str
    slices: int
    slowest_p50_ns: int
    slowest_p90_ns: int
    slowest_max_ns: int


class Timeline(Struct, frozen=True, forbid_unknown_fields=True):
    """A round of a load. Slices in which no message was due or sent are left out."""

    load: str
    slice_ns: int
    effects: list[Effect]
    spans: list[Span]
    slices: list[Slice]


def note_slowest(slowest: Slowest, since_ns: int, count: int, latency_ns: int) -> None:
    """Counts messages due `since_ns` after the window's start (or before: not counted)."""
    number = since_ns // SLICE_NS
    if 0 <= number < SLICES_MAX:
        _add(slowest, number, count, latency_ns)


def merge_slowest(into: Slowest, other: Slowest) -> None:
    """Adds what another process saw."""
    for number, (count, most_ns) in other.items():
        _add(into, number, count, most_ns)


def _add(slowest: Slowest, number: int, count: int, most_ns: int) -> None:
    messages, greatest_ns = slowest.get(number, (0, 0))
    slowest[number] = (messages + count, max(greatest_ns, most_ns))


def make_timeline(
    load: str, slowest: Slowest, samples: Sequence[Sample], spans: Sequence[Span]
) -> Timeline:
    """`samples` in the order of time."""
    slices = []
    times_ns = [sample.at_ns for sample in samples]
    for number, (messages, slowest_ns) in sorted(slowest.items()):
        from_ns = number * SLICE_NS
        to_ns = from_ns + SLICE_NS
        # The samples nearest to the slice's ends: they are taken at these, or a little later.
        first = bisect_right(times_ns, from_ns + SLICE_NS // 2) - 1
        last = bisect_left(times_ns, to_ns - SLICE_NS // 2)
        ran_ns = waited_ns = grown = 0
        ran = sorted(
            {span.what for span in spans if span.from_ns < to_ns and span.to_ns >= from_ns}
        )
        if 0 <= first < last < len(samples):
            before, after = samples[first], samples[last]
            ran_ns, waited_ns = after.ran_ns - before.ran_ns, after.waited_ns - before.waited_ns
            grown = after.log_bytes - before.log_bytes
            if not grown:
                ran.append(LOG_STOOD_STILL)
            if waited_ns >= WAITED_NS_MIN:
                ran.append(NO_PROCESSOR)
        slices.append(Slice(from_ns, messages, slowest_ns, ran_ns, waited_ns, grown, ran))
    return Timeline(load, SLICE_NS, effects(slices), list(spans), slices)


def effects(slices: Sequence[Slice]) -> list[Effect]:
    """Of everything that ran in any slice, and of the slices in which nothing did."""
    names = (GARBAGE, CHECKPOINT, SEGMENT, METRICS, LOG_STOOD_STILL, NO_PROCESSOR)
    found = [_effect("nothing of these", (one for one in slices if not one.ran))]
    found += [_effect(name, (one for one in slices if name in one.ran)) for name in names]
    return [*found, _effect("all", slices)]


def slowest_slices(timeline: Timeline) -> list[Slice]:
    """Those of the slowest messages, the slowest first."""
    return sorted(timeline.slices, key=lambda one: -one.slowest_ns)[:SLOWEST_SHOWN]


def _effect(what: str, slices: Iterable[Slice]) -> Effect:
    times = sorted(one.slowest_ns for one in slices)
    if not times:
        return Effect(what, 0, 0, 0, 0)
    return Effect(
        what,
        len(times),
        int(statistics.median(times)),
        times[-(-len(times) * 9 // 10) - 1],
        times[-1],
    )
