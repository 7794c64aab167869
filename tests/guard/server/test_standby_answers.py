"""What a guard that stands by answers out of its state, and what it refuses."""

from typing import Any

import msgspec
import pytest

from guard.cluster.epochs import LogRow
from guard.cluster.sight import Sight
from guard.config.clients import ClientTerms
from guard.server.permits import Permit
from guard.server.standby_answers import StandbyAnswers
from guard_support import LoggedEngine, order
from wal import Head

HEAD = Head(9, "f" * 64)
S = 1_000_000_000
CODECS: Any = {
    "json": (msgspec.json.encode, msgspec.json.decode),
    "msgpack": (msgspec.msgpack.encode, msgspec.msgpack.decode),
}


def answers_of(day: LoggedEngine, serves_at: str = "", *, needs_permit: bool = False) -> Any:
    sight = Sight(1 * S)
    sight.fold(9, 1 * S)
    sight.look(2 * S, LogRow(1, "h", Head(9, "x"), HEAD, 1, serves_at))
    sight.look(3 * S, LogRow(1, "h", Head(12, "x"), HEAD, 2, serves_at))
    sight.look(4 * S, LogRow(1, "h", Head(9, "x"), HEAD, 3, serves_at))
    return StandbyAnswers(
        day.engine.state,
        lambda: HEAD,
        sight,
        wall_ns=lambda: 1,
        monotonic_ns=lambda: 5 * S,
        needs_permit=needs_permit,
    )


@pytest.fixture
def day() -> LoggedEngine:
    made = LoggedEngine()
    made.submit(order("A-1"))
    return made


@pytest.mark.parametrize("form", CODECS)
@pytest.mark.parametrize("request_id", [None, 7, "q"])
def test_what_it_answers_says_how_far_it_is_behind(
    day: LoggedEngine, form: str, request_id: Any
) -> None:
    encode, decode = CODECS[form]
    echoed = {} if request_id is None else {"request_id": request_id}
    answers = answers_of(day)

    def ask(**asked: Any) -> Any:
        return decode(answers.answer(encode({**asked, **echoed}), 1, None))

    marks = {"behind_records": 3, "behind_ns": 4 * S, **echoed}
    known = ask(type="status", desk="desk-alpha", client_order_id="A-1")
    assert known["state"] == "open"
    assert known["answer"]["type"] == "admit"
    assert {key: known[key] for key in marks} == marks
    unknown = ask(type="status", desk="desk-alpha", client_order_id="B")
    assert (unknown["state"], unknown["answer"]) == ("unknown", None)
    pong = ask(type="ping")
    assert (pong["head_sequence"], pong["head_hash"]) == HEAD
    assert {key: pong[key] for key in marks} == marks
    shown = ask(type="positions", desk="desk-alpha")
    assert (shown["type"], shown["behind_records"]) == ("positions", 3)
    missing = ask(type="positions", desk="desk-omega")
    assert missing["code"] == "unknown_desk"
    assert "behind_ns" not in missing


@pytest.mark.parametrize("serves_at", ["", "tcp://guard-a.example:7001"])
def test_all_else_is_refused_and_nothing_changes(day: LoggedEngine, serves_at: str) -> None:
    answers = answers_of(day, serves_at)
    before = day.engine.state.next_sequence
    requests = [
        {**msgspec.to_builtins(order("B")), "request_id": 1},
        {"type": "cancel", "desk": "desk-alpha", "client_order_id": "A-1"},
        {"type": "stats"},
        {"type": "mark", "symbol": "AAPL", "price": 1},
        {"type": "status", "desk": "desk-alpha", "client_order_id": "A-1"},
        {"type": "nonsense"},
    ]
    said = msgspec.json.decode(answers.answer(msgspec.json.encode(requests), 1, None))
    codes = [each.get("code", each["type"]) for each in said]
    assert codes == [*["not_serving"] * 4, "status", "unknown_type"]
    assert (said[0]["client_order_id"], said[0]["request_id"]) == ("B", 1)
    assert said[0].get("serving", "") == serves_at
    assert (serves_at or "is not known here") in said[0]["message"]
    assert "desk" not in said[2]
    assert day.engine.state.next_sequence == before


def test_grants_hold(day: LoggedEngine) -> None:
    answers = answers_of(day, needs_permit=True)
    terms = ClientTerms(
        "reader", "reader", None, None, frozenset({"desk-beta"}), frozenset({"status"})
    )
    permit = Permit(terms)

    def ask(permit: Permit | None, **asked: Any) -> Any:
        return msgspec.json.decode(answers.answer(msgspec.json.encode(asked), 1, permit))

    of_alpha = {"type": "status", "desk": "desk-alpha", "client_order_id": "A-1"}
    assert ask(permit, **of_alpha)["code"] == "not_permitted"
    assert ask(permit, **{**of_alpha, "desk": "desk-beta"})["state"] == "unknown"
    assert ask(None, **of_alpha)["code"] == "not_permitted"
    assert ask(None, type="ping")["type"] == "pong"


@pytest.mark.parametrize(("body", "count"), [(None, 3), (b"", 1), (b"{", 1), (b"{", -300_000)])
def test_what_is_no_request_is_said(day: LoggedEngine, body: bytes | None, count: int) -> None:
    reply = answers_of(day).answer(body, count, None)
    decode = msgspec.json.decode if reply[:1] == b"{" else msgspec.msgpack.decode
    assert decode(reply)["type"] == "error"


def test_orders_together_get_one_answer(day: LoggedEngine) -> None:
    orders = [msgspec.to_builtins(order(name)) for name in ("B", "C")]
    body = {"type": "all_or_none", "orders": orders, "request_id": 7}
    said = msgspec.json.decode(answers_of(day).answer(msgspec.json.encode(body), 1, None))
    assert (said["code"], said["client_order_id"], said["request_id"]) == ("not_serving", "B", 7)
