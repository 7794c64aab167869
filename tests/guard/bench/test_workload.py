"""The generator's requests: what the guard's own decoder reads in them."""

from collections import Counter
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.bench.flow import RecordedFlow
from guard.bench.frames import scan
from guard.bench.redis_orders import RedisOrders, encode_command
from guard.bench.workload import Mix, MixedOrders, RecordedFrames, parse_mix
from guard.demo.flow import read_steps
from guard.protocol.messages import Cancel, Fill, Order
from guard.protocol.wire import parse_message

MIXES = st.builds(Mix, st.integers(1, 40), st.integers(0, 20), st.integers(0, 20)).filter(
    lambda mix: mix.fills + mix.cancels <= mix.orders
)


def no_command(body: bytes) -> None:
    raise AssertionError(f"no command was sent: {body!r}")


def _requests(frames: bytes) -> list[list[Any]]:
    """Each message's requests, as the guard decodes them."""
    messages: list[list[Any]] = []

    def on_body(start: int, end: int) -> None:
        parsed = parse_message(frames[start:end], "USD").requests
        assert all(isinstance(request, Order | Fill | Cancel) for request in parsed)
        messages.append(parsed)

    assert scan(frames, on_body, no_command) == len(frames)
    return messages


@given(MIXES, st.integers(1, 5), st.integers(1, 7), st.integers(1, 30))
def test_every_fill_and_cancel_has_its_order_before_it(
    mix: Mix, per_message: int, desks: int, count: int
) -> None:
    workload = MixedOrders("s1", 3, mix, per_message, desks)
    requests = [*_requests(b"".join(workload.prelude()))]
    assert all(len(message) == 1 for message in requests)
    for _ in range(2):
        messages = _requests(workload.frames(count))
        assert [len(message) for message in messages] == [per_message] * count
        requests += messages
    open_orders: dict[str, Order] = {}
    seen = set()
    for request in (request for message in requests for request in message):
        if isinstance(request, Order):
            assert request.client_order_id not in seen
            seen.add(request.client_order_id)
            open_orders[request.client_order_id] = request
        else:
            order = open_orders.pop(request.client_order_id)
            assert request.desk == order.desk
            if isinstance(request, Fill):
                assert request.quantity == order.quantity


@given(MIXES, st.integers(1, 700), st.lists(st.integers(0, 900), min_size=1, max_size=8))
def test_requests_are_the_same_in_whatever_pieces_they_are_taken(
    mix: Mix, desks: int, counts: list[int]
) -> None:
    pieces, whole = (MixedOrders("s1", 3, mix, 1, desks) for _ in range(2))
    assert b"".join(map(pieces.frames, counts)) == whole.frames(sum(counts))


@pytest.mark.parametrize("desks", [1, 3, 300, 1_000])
def test_every_desk_has_its_share_and_a_lap_has_no_id_of_another(desks: int) -> None:
    orders = _requests(MixedOrders("s1", 3, Mix(1, 0, 0), 1, desks).frames(3_000))
    per_desk = Counter(message[0].desk for message in orders)
    assert len(per_desk) == desks
    assert max(per_desk.values()) <= 2 * min(per_desk.values())
    assert len({message[0].client_order_id for message in orders}) == 3_000


@given(MIXES)
def test_a_cycle_has_the_mixs_parts(mix: Mix) -> None:
    counts = Counter(mix.cycle())
    assert counts["o"] * mix.fills == counts["f"] * mix.orders
    assert counts["o"] * mix.cancels == counts["c"] * mix.orders


def test_a_mix_is_spread_evenly_in_its_smallest_numbers() -> None:
    assert len(parse_mix("80/15/5").cycle()) == 20
    assert parse_mix("1/0/0").cycle() == parse_mix("100/0/0").cycle() == "o"
    assert MixedOrders("s", 0, parse_mix("1/0/0"), 1, 1).prelude() == []


@pytest.mark.parametrize("text", ["", "1", "1/2", "1/1/1/1", "0/0/0", "1/1/1", "a/b/c", "-1/0/0",
                                  "1001/0/0", "1.5/0/0", "10000000/0/0"])  # fmt: skip
def test_what_is_no_mix_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not allowed; allowed: three integers"):
        parse_mix(text)


def test_clients_and_sessions_share_no_ids_and_desks_take_turns() -> None:
    ids = set()
    for session, link in (("a", 0), ("a", 1), ("b", 0)):
        frames = MixedOrders(session, link, Mix(1, 0, 0), 1, 3).frames(6)
        orders = [message[0] for message in _requests(frames)]
        assert [order.desk for order in orders] == [f"desk-{n % 3:05d}" for n in range(6)]
        ids |= {order.client_order_id for order in orders}
    assert len(ids) == 18


def test_the_recorded_flow_is_whole_and_each_orders_events_go_one_way() -> None:
    flow, steps = RecordedFlow("s1", 3), list(read_steps())
    assert len(flow.at_ns) == len(flow.links) == sum(map(len, flow.frames)) == len(steps)
    assert flow.at_ns == sorted(flow.at_ns)
    assert flow.at_ns[0] == 1_531_514_831_071_000_000  # 2018-07-13T20:47:11.071 UTC
    place_of: dict[str, int] = {}
    for step, place in zip(steps, flow.links, strict=True):
        assert place_of.setdefault(step.request.client_order_id, place) == place
    played = RecordedFrames(flow.frames[1])
    first = _requests(played.frames(2) + played.frames(1))
    expected = [step.request for step, place in zip(steps, flow.links, strict=True) if place == 1]
    for (request,), recorded in zip(first, expected, strict=False):
        recorded.client_order_id = f"s1-{recorded.client_order_id}"
        if isinstance(recorded, Order):
            recorded.currency = "USD"  # the guard's own, as decoding fills it in
        assert msgspec.to_builtins(request) == msgspec.to_builtins(recorded)


def test_a_redis_call_holds_the_same_order() -> None:
    script = b"f" * 40
    calls = RedisOrders("s1", 2, script, 2).frames(2)
    order_id = b"s1-002-000000000001"
    body = MixedOrders("s1", 2, Mix(1, 0, 0), 1, 2).frames(2)
    parts: list[bytes] = []
    scan(body, lambda start, end: parts.append(body[start:end]), parts.append)
    expected = (b"EVALSHA", script, b"3", b"desk-00001", order_id, b"orders", b"619000000")
    assert calls.endswith(encode_command(*expected, parts[1]))
    assert calls.count(b"EVALSHA") == 2
