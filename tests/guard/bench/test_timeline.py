"""The trace: what ran in each slice is told apart, and a stall falls on the right ones."""

from guard.bench.timeline import (
    CHECKPOINT,
    LOG_STOOD_STILL,
    METRICS,
    NO_PROCESSOR,
    SLICE_NS,
    Sample,
    Slowest,
    Span,
    make_timeline,
    merge_slowest,
    note_slowest,
    slowest_slices,
)

LATE_NS = 40_000  # samples are taken a little after their time


def _samples(grown: list[int], waited: list[int]) -> list[Sample]:
    samples = [Sample(LATE_NS, 0, 0, 0)]
    for number, (size, waited_ns) in enumerate(zip(grown, waited, strict=True), 1):
        last = samples[-1]
        samples.append(
            Sample(
                number * SLICE_NS + LATE_NS,
                last.ran_ns + 1_000 * number,
                last.waited_ns + waited_ns,
                last.log_bytes + size,
            )
        )
    return samples


def test_each_slice_has_what_ran_in_it() -> None:
    slowest: Slowest = {0: (10, 400), 1: (9, 90_000), 3: (8, 300)}
    samples = _samples([100, 0, 50, 70], [0, SLICE_NS, 0, 10])
    spans = [
        Span(CHECKPOINT, SLICE_NS // 2, SLICE_NS + 1),
        Span(METRICS, 3 * SLICE_NS, 3 * SLICE_NS),
    ]
    timeline = make_timeline("a load", slowest, samples, spans)
    assert [(one.from_ns, one.messages, one.slowest_ns) for one in timeline.slices] == [
        (0, 10, 400),
        (SLICE_NS, 9, 90_000),
        (3 * SLICE_NS, 8, 300),
    ]
    assert [one.ran for one in timeline.slices] == [
        [CHECKPOINT],
        [CHECKPOINT, LOG_STOOD_STILL, NO_PROCESSOR],
        [METRICS],
    ]
    assert [one.log_bytes for one in timeline.slices] == [100, 0, 70]
    assert [one.main_ran_ns for one in timeline.slices] == [1_000, 2_000, 4_000]
    assert [one.main_waited_ns for one in timeline.slices] == [0, SLICE_NS, 10]
    effects = {one.what: one for one in timeline.effects}
    assert (effects[CHECKPOINT].slices, effects[CHECKPOINT].slowest_max_ns) == (2, 90_000)
    assert (effects[METRICS].slices, effects[METRICS].slowest_p50_ns) == (1, 300)
    assert effects["nothing of these"].slices == 0
    assert (effects["all"].slices, effects["all"].slowest_p50_ns) == (3, 400)
    assert [one.slowest_ns for one in slowest_slices(timeline)] == [90_000, 400, 300]


def test_without_samples_nothing_is_claimed_of_the_daemon() -> None:
    timeline = make_timeline("a load", {5: (1, 7)}, _samples([1], [0]), [])
    assert timeline.slices[0].ran == []
    assert timeline.slices[0].log_bytes == 0
    assert make_timeline("none", {}, [], []).slices == []


def test_messages_are_noted_by_when_they_were_due() -> None:
    slowest: Slowest = {}
    for since_ns, latency_ns in ((-1, 99), (0, 5), (SLICE_NS - 1, 7), (SLICE_NS, 6)):
        note_slowest(slowest, since_ns, 2, latency_ns)
    assert slowest == {0: (4, 7), 1: (2, 6)}
    merge_slowest(slowest, {1: (1, 9), 2: (1, 1)})
    assert slowest == {0: (4, 7), 1: (3, 9), 2: (1, 1)}
