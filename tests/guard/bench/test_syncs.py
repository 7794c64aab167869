"""What the guard counted of its syncs within a window, as the difference of two readings."""

import threading

import msgspec
import pytest
import zmq

from guard.bench.syncs import read_stats, sync_times
from guard.protocol.messages import StatsReply


def _stats(total_ns: int, *counts: int) -> StatsReply:
    bounds_ns = (100, 1_000, 10_000)
    classes = list(zip(bounds_ns, counts, strict=True))
    return StatsReply({"sync_latency_ns_sum": total_ns}, classes)


def test_the_difference_and_its_percentiles() -> None:
    before, after = _stats(1_000, 10, 5, 0), _stats(31_000, 10 + 50, 5 + 49, 1)
    expected = {"count": 100, "mean": 300, "p50_at_most": 100, "p99_at_most": 1_000}
    assert sync_times(before, after) == expected
    assert sync_times(before, _stats(9_000, 10, 6, 1))["p99_at_most"] == 10_000
    assert sync_times(before, before) == {}


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        (StatsReply({"a": 1}, [(1, 2)]), StatsReply({"a": 1}, [(1, 2)])),
        ({"type": "error", "code": "unknown_type", "field": "type", "message": "no"}, None),
    ],
)
def test_a_guard_that_knows_no_stats_is_measured_without(
    reply: object, found: StatsReply | None
) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    router = context.socket(zmq.ROUTER)
    router.setsockopt(zmq.RCVTIMEO, 10_000)
    router.setsockopt(zmq.LINGER, 0)
    router.bind("tcp://127.0.0.1:*")
    endpoint = router.getsockopt_string(zmq.LAST_ENDPOINT)
    answers: list[StatsReply | None] = []
    asker = threading.Thread(target=lambda: answers.append(read_stats(endpoint)))
    asker.start()
    try:
        routing_id, body = router.recv_multipart()
        assert msgspec.msgpack.decode(body) == {"type": "stats"}
        router.send_multipart([routing_id, msgspec.msgpack.encode(reply)])
        asker.join(10)
        assert answers == [found]
    finally:
        router.close()
        context.term()
