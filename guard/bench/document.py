"""The bench's result, as it is written to JSON and compared later.

Owns the shape: a `Report`, version `REPORT_VERSION`. Units stand in the names.
"""

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

from guard.bench.measure import Measured
from guard.bench.timeline import Timeline
from guard.histogram import Histogram

REPORT_VERSION: Final = 1
TRACE_VERSION: Final = 1


class Run(Struct, frozen=True, forbid_unknown_fields=True):
    """One load on one target: of several rounds the median of each figure, the greatest `max`."""

    target: str
    load: str
    rounds: int
    requests_a_second: float
    latency_ns: dict[str, int]
    lateness_ns: dict[str, int]
    replies: dict[str, int]
    refusals: dict[str, int]
    messages_sent: int
    messages_answered: int
    batch_records: dict[str, int]
    sync_ns: dict[str, int]
    cpu_us_a_request: dict[str, dict[str, float]]


class Target(Struct, frozen=True, forbid_unknown_fields=True):
    """A row of what must be shown. `met` is None where it could not be measured."""

    what: str
    target: str
    measured: str
    met: bool | None


class Report(Struct, frozen=True, forbid_unknown_fields=True):
    """All of a session."""

    version: int
    started_at: str
    command: str
    conditions: dict[str, str]
    runs: list[Run]
    targets: list[Target]
    figures: dict[str, float]
    not_measured: list[str]


class Trace(Struct, frozen=True, forbid_unknown_fields=True):
    """What `--trace` writes: every round of every load, slice by slice."""

    version: int
    started_at: str
    command: str
    conditions: dict[str, str]
    timelines: list[Timeline]


def summarize(
    target: str,
    load: str,
    rounds: Sequence[Measured],
    batches: Sequence[Histogram] = (),
    syncs: Sequence[dict[str, int]] = (),
) -> Run:
    """Rounds of one load as one run."""
    replies: Counter[str] = Counter()
    refusals: Counter[str] = Counter()
    for measured in rounds:
        replies.update(measured.kinds)
        refusals.update(measured.reasons)
    return Run(
        target,
        load,
        len(rounds),
        statistics.median(measured.requests_a_second for measured in rounds),
        _medians(measured.latency.summary() for measured in rounds),
        _medians(measured.lateness.summary() for measured in rounds),
        dict(replies),
        dict(refusals),
        sum(measured.messages_sent for measured in rounds),
        sum(measured.messages_answered for measured in rounds),
        _medians(batch.summary() for batch in batches),
        _medians(times for times in syncs if times),
        {
            process: _median_times([measured.cpu_us_a_request(process) for measured in rounds])
            for process in rounds[0].cpu_ns
        },
    )


def summarize_disk(target: str, load: str, rounds: Sequence[Histogram]) -> Run:
    """The disk alone, record by record, as a target of its own: no order can be quicker."""
    times_ns = _medians(histogram.summary() for histogram in rounds)
    return Run(
        target=target,
        load=load,
        rounds=len(rounds),
        requests_a_second=1e9 / max(times_ns["mean"], 1),
        latency_ns=times_ns,
        lateness_ns=Histogram().summary(),
        replies={},
        refusals={},
        messages_sent=0,
        messages_answered=0,
        batch_records={},
        sync_ns={},
        cpu_us_a_request={},
    )


def _medians(summaries: Iterable[dict[str, int]]) -> dict[str, int]:
    """The median of each figure; the least `least`, the greatest `max`, and every `count`."""
    every = list(summaries)
    if not every:
        return {}
    merged = {name: int(statistics.median(one[name] for one in every)) for name in every[0]}
    merged["count"] = sum(one["count"] for one in every)
    for name, extreme in (("least", min), ("max", max)):
        if name in merged:
            merged[name] = extreme(one[name] for one in every)
    return merged


def _median_times(rounds: list[dict[str, float]]) -> dict[str, float]:
    names = sorted({name for one in rounds for name in one})
    return {
        name: round(statistics.median(one.get(name, 0.0) for one in rounds), 3) for name in names
    }
