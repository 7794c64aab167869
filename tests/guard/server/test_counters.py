"""The counters: the histogram's classes, the reply's names, its size."""

import re
from pathlib import Path

import msgspec
import pytest

from guard.process.installation import PARTS, build
from guard.protocol.messages import I64_MAX, U64_MAX, Pong, StatsReply
from guard.server.batch import LATE_REPLY_BYTES
from guard.server.counters import SYNC_LATENCY_BOUNDS_NS, Counters

PROTOCOL = (Path(__file__).resolve().parents[3] / "guard" / "PROTOCOL.md").read_text()


@pytest.mark.parametrize(
    ("latency_ns", "bound_ns"),
    [
        (0, 100_000),
        (100_000, 100_000),
        (100_001, 200_000),
        (1_000_000, 1_000_000),
        (5_000_000_001, 10_000_000_000),
        (10_000_000_001, I64_MAX),
    ],
)
def test_a_sync_is_counted_in_its_class(latency_ns: int, bound_ns: int) -> None:
    counters = Counters()
    counters.count_sync(3, 4_000, latency_ns)
    counted = dict(counters.as_reply().syncs_by_latency_ns)
    assert {bound: count for bound, count in counted.items() if count} == {bound_ns: 1}
    assert list(counted) == sorted(SYNC_LATENCY_BOUNDS_NS)


def test_batches_are_counted_by_how_long_their_first_message_waited() -> None:
    counters = Counters()
    for messages, latency_ns in ((1, 100_000), (7, 100_001), (2, 3_000_000), (0, 9_000_000)):
        counters.count_batch(messages, messages * 100, latency_ns)
    reply = counters.as_reply()
    counted = {bound: count for bound, count in reply.answers_by_latency_ns if count}
    assert counted == {100_000: 1, 200_000: 1, 5_000_000: 1}  # nobody waited for the last one
    names = ("batches", "gathered_messages_max", "gathered_bytes_max")
    assert [reply.counters[name] for name in names] == [4, 7, 700]
    names = ("answer_latency_ns_sum", "answer_latency_ns_max")
    assert [reply.counters[name] for name in names] == [3_200_001, 3_000_000]


def test_sums_and_highest_values() -> None:
    counters = Counters()
    for size, latency_ns in ((5, 300), (9, 100), (2, 200)):
        counters.count_sync(size, size * 1_000, latency_ns)
    counted = counters.as_reply(open_holds=7).counters
    assert (counted["batch_records_max"], counted["batch_bytes_max"]) == (9, 9_000)
    assert (counted["sync_latency_ns_sum"], counted["sync_latency_ns_max"]) == (600, 300)
    assert (counted["logged_bytes"], counted["open_holds"]) == (16_000, 7)


def test_the_protocol_page_names_every_counter() -> None:
    section = PROTOCOL.split("### 7.2 `stats`", 1)[1].split("\n## ", 1)[0]
    told = set(re.findall(r"`(\w+)`", section))
    assert set(Counters().as_reply().counters) <= told
    assert {"version", "commit", *PARTS} <= told


def test_a_reply_at_its_longest_is_within_what_is_reckoned_for_it() -> None:
    full = [I64_MAX] * len(SYNC_LATENCY_BOUNDS_NS)
    counters = Counters(syncs_by_latency=full, answers_by_latency=full)
    reply = counters.as_reply(**{f"gauge_number_{number}_microcents": 0 for number in range(9)})
    reply.counters = dict.fromkeys(reply.counters, I64_MAX)
    reply.request_id = "x" * 64
    reply.build = build() | {"version": "1000.1000.1000", "commit": "0123456789ab+"}
    assert set(reply.build) == {"version", "commit", *PARTS}
    reply.build |= dict.fromkeys(PARTS, "interpreted")
    assert len(msgspec.json.encode(reply)) <= LATE_REPLY_BYTES[StatsReply]
    pong = Pong(U64_MAX, "f" * 64, "f" * 32, U64_MAX, "x" * 64)
    assert len(msgspec.json.encode(pong)) <= LATE_REPLY_BYTES[Pong]
