"""Marks that jump: which count, when, what is refused meanwhile, and what the record says of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from guard.config.activation import limits_event
from guard.config.clients import ClientTerms
from guard.recovery.recover import NotOurLogError, fold_log
from guard.replay.replay import ReplayMismatch, replay_log
from guard.server.marks import Mark
from guard.server.permits import Permit
from guard.server.request_path import record_event
from guard.server.standing_alarms import words_of_jumps
from guard_limits_support import WAIVED, limited, limits_config
from guard_support import KEY, T0, actor, write_log
from guard_support import order as a_request
from request_path_support import Guard, mark, order
from wal import ChainHasher

HASHER = ChainHasher(KEY)
MS = 1_000_000
CONFIRM = 500 * MS
PRICE = 20_000
RULE = f"{WAIVED}mark_jump_bps = 1_000\nmark_confirm_ms = 500\n"
COLLARED = (
    'quantity_max = "none"\nvalue_max = "none"\nprice_collar_bps = 100\n'
    "reference_age_max_ms = 10_000\nmark_jump_bps = 1_000\nmark_confirm_ms = 500\n"
)
JUMPED = "reference_unconfirmed"


class Feed:
    """One symbol's mark, and who sends it when."""

    def __init__(self) -> None:
        self.mark, self.now_ns = Mark(), T0

    def send(self, price: int, source: bytes = b"one", after_ns: int = 1) -> tuple[int, int]:
        """What is in force then, and what waits."""
        self.now_ns += after_ns
        self.mark.offer(price, self.now_ns, 0, source, 1_000, CONFIRM)
        return self.mark.price, self.mark.jump

    def wait(self, after_ns: int) -> tuple[int, int]:
        self.now_ns += after_ns
        self.mark.settle(self.now_ns)
        return self.mark.price, self.mark.jump


def test_at_the_bound_it_counts_and_one_tick_further_it_waits() -> None:
    for price in (18_000, 22_000):
        assert Feed().send(PRICE) == (PRICE, 0)
        feed = Feed()
        feed.send(PRICE)
        assert feed.send(price) == (price, 0)
    for price in (17_999, 22_001, 1, 2**63 - 1):
        feed = Feed()
        feed.send(PRICE)
        assert feed.send(price) == (PRICE, price)


def test_another_source_confirms_it_and_its_own_does_not() -> None:
    feed = Feed()
    feed.send(PRICE)
    assert feed.send(30_000) == (PRICE, 30_000)
    assert feed.send(30_100) == (PRICE, 30_100)
    assert feed.send(50_000, b"two") == (PRICE, 50_000)  # which says something else again
    assert feed.send(30_000) == (PRICE, 30_000)
    assert feed.send(31_000, b"two") == (31_000, 0)


def test_what_stands_unsaid_otherwise_counts_in_time_and_not_before() -> None:
    feed = Feed()
    feed.send(PRICE)
    feed.send(30_000)
    assert feed.send(30_500, after_ns=CONFIRM - 2) == (PRICE, 30_500)
    assert feed.wait(1) == (PRICE, 30_500)
    assert feed.wait(1) == (30_500, 0)
    assert feed.mark.arrived_ns == T0 + CONFIRM  # as it came last, and no younger
    feed.send(40_000)
    assert feed.send(41_000, after_ns=CONFIRM) == (41_000, 0)  # counted, and then the next one


def test_its_own_source_takes_it_back() -> None:
    feed = Feed()
    feed.send(PRICE)
    feed.send(30_000)
    assert feed.send(20_100) == (20_100, 0)
    assert feed.wait(CONFIRM) == (20_100, 0)


def test_another_source_denies_it_and_the_last_word_counts() -> None:
    feed = Feed()
    feed.send(PRICE)
    feed.send(30_000)
    assert feed.send(20_100, b"two") == (20_100, 30_000)
    assert feed.wait(CONFIRM - 1) == (20_100, 30_000)
    assert feed.wait(1) == (20_100, 0)  # nobody has said it again
    feed.send(30_000)
    feed.send(20_000, b"two")
    assert feed.send(30_000, after_ns=CONFIRM - 1) == (20_000, 30_000)
    assert feed.wait(CONFIRM - 1) == (20_000, 30_000)  # it stands anew since then
    assert feed.wait(1) == (30_000, 0)


def test_the_first_one_counts_since_there_is_none_to_hold_it_against() -> None:
    assert Feed().send(2**63 - 1) == (2**63 - 1, 0)


def begun(tmp_path: Path, text: str = RULE) -> Guard:
    guard = Guard(tmp_path, limits_config(text))
    guard.ask(mark(PRICE))
    return guard


def said(lines: list[bytes]) -> list[tuple[int, int]]:
    """Of each order its mark, and what that has jumped to."""
    found: list[Any] = [json.loads(line)["data"] for line in lines]
    events = [data.get("metadata", data) for data in found]
    return [
        (event["mark_price"], event.get("mark_jump", 0))
        for event in events
        if event["event"].startswith("order")
    ]


def test_entries_are_refused_while_it_waits_and_the_record_says_so(tmp_path: Path) -> None:
    guard = begun(tmp_path)
    replies = guard.ask(mark(22_000), order("A-1"), mark(24_201), order("A-2"), order("A-3"))
    assert replies[1]["type"] == "admit"
    assert replies[0] == {"type": "marked", "symbol": "AAPL", "price": 22_000}
    assert replies[2] == {**replies[0], "price": 24_201, "in_force": 22_000}
    detail = {"asked": 24_201, "limit": 1_000, "used": 22_000, "scope": 1}
    assert (replies[3]["reason"], replies[3]["detail"]) == (JUMPED, detail)
    guard.now_ns += CONFIRM - 1
    btc = guard.ask(mark(6_000_000, "BTC-USD"), order("B-1", symbol="BTC-USD", price=6_000_000))
    assert btc[1]["type"] == "admit"  # of another symbol
    assert guard.ask(order("A-4"))["reason"] == JUMPED
    assert words_of_jumps(guard.path.marks, guard.now_ns) is not None
    guard.now_ns += 1
    assert words_of_jumps(guard.path.marks, guard.now_ns) is None
    assert guard.ask(order("A-5"))["type"] == "admit"
    assert said(guard.end()) == [
        (22_000, 0), (22_000, 24_201), (22_000, 24_201), (6_000_000, 0), (22_000, 24_201),
        (24_201, 0),
    ]  # fmt: skip


def test_whoever_gets_out_may_between_both_prices(tmp_path: Path) -> None:
    """Collared by both: from the lower one's lower end to the upper one's upper end."""
    guard = begun(tmp_path, COLLARED)
    guard.ask(order("A-1", quantity=50, price=PRICE))
    guard.ask({
        "type": "fill", "desk": "desk-alpha", "client_order_id": "A-1", "fill_id": "F-1",
        "quantity": 50, "fee_microcents": 0, "price": PRICE,
    })  # fmt: skip
    guard.ask(mark(30_000))
    for number, (price, is_in) in enumerate(
        ((19_800, True), (19_799, False), (25_000, True), (30_300, True), (30_301, False))
    ):
        reply = guard.ask(order(f"S-{number}", side="sell", price=price))
        assert (reply["type"] == "admit") == is_in
        assert is_in or reply["reason"] == "price_outside_collar"
    assert guard.ask(order("A-2", price=PRICE))["reason"] == JUMPED
    guard.end()


def test_positions_are_not_valued_by_what_waits(tmp_path: Path) -> None:
    guard = begun(tmp_path, f"{RULE}revalue_bps = 0\n")
    btc = {"symbol": "BTC-USD", "price": 6_000_000}
    guard.ask(mark(6_000_000, "BTC-USD"), mark(30_000), order("B-1", **btc), order("A-1"))
    guard.now_ns += CONFIRM
    guard.ask(order("B-2", **btc))  # of another symbol, and no mark has come
    found = [json.loads(line)["data"] for line in guard.end()]
    prices = [
        (event["symbol"], event["price"]) for event in found if event.get("event") == "revalued"
    ]
    assert prices == [("AAPL", PRICE), ("BTC-USD", 6_000_000), ("AAPL", 30_000)]


def test_what_counts_as_another_comes_is_recorded_though_that_one_waits(tmp_path: Path) -> None:
    """It has stood, and no order has come since; then a mark comes that jumps back."""
    guard = begun(tmp_path, f"{RULE}revalue_bps = 0\n")
    btc = {"symbol": "BTC-USD", "price": 6_000_000}
    guard.ask(mark(6_000_000, "BTC-USD"), order("A-1"), mark(30_000))
    guard.now_ns += CONFIRM
    guard.ask(mark(PRICE), order("B-1", **btc))
    found = [json.loads(line)["data"] for line in guard.end()]
    prices = [event["price"] for event in found if event.get("event") == "revalued"]
    assert prices == [PRICE, 6_000_000, 30_000] or prices == [6_000_000, PRICE, 30_000]


def test_two_clients_are_two_sources(tmp_path: Path) -> None:
    guard = begun(tmp_path)

    def send(name: str, price: int) -> None:
        none = frozenset[str]()
        may = frozenset(("marks",))
        permit = Permit(ClientTerms(name, name, None, 7, None, may, none, None))
        body = json.dumps(mark(price)).encode()
        answer = guard.path.answer(body, 1, permit)
        assert isinstance(answer, bytes)
        assert b'"marked"' in answer

    send("one", 30_000)
    send("one", 30_000)
    assert guard.ask(order("A-1"))["reason"] == JUMPED
    send("two", 30_000)
    assert guard.ask(order("A-2"))["type"] == "admit"
    assert said(guard.end()) == [(PRICE, 30_000), (30_000, 0)]


@pytest.mark.parametrize("text", [WAIVED, f'{WAIVED}mark_jump_bps = "none"\n', ""])
def test_where_no_limit_says_so_each_counts_at_once(tmp_path: Path, text: str) -> None:
    guard = begun(tmp_path, text or WAIVED)
    assert guard.ask(mark(90_000), order("A-1"))[1]["type"] == "admit"
    assert said(guard.end()) == [(90_000, 0)]


def test_a_symbol_may_say_it_for_itself(tmp_path: Path) -> None:
    text = f"{WAIVED}[limits.symbol.AAPL]\nmark_jump_bps = 1_000\nmark_confirm_ms = 500\n"
    guard = begun(tmp_path, text)
    replies = guard.ask(mark(30_000), order("A-1"), mark(1, "BTC-USD"), mark(9, "BTC-USD"))
    assert replies[1]["detail"]["scope"] == 3
    assert [*guard.path.marks.waiting] == [b"AAPL"]
    guard.end()


def test_under_other_limits_what_waits_is_said_no_more(tmp_path: Path) -> None:
    guard = begun(tmp_path)
    guard.ask(mark(23_000))
    looser = RULE.replace("1_000", "2_000")
    record_event(
        guard.engine, guard.writer, limits_event(limits_config(looser).limits, actor(guard.now_ns))
    )
    assert guard.ask(order("A-1"))["type"] == "admit"
    assert said(guard.end()) == [(PRICE, 0)]


def refused(tmp_path: Path, text: str, old: bytes, new: bytes) -> str:
    """What replay and start say of a log in whose one order's record these bytes are others."""
    engine = limited(text)
    engine.marks, engine.jumps = {"AAPL": (PRICE, 1)}, {}
    if b"mark_jump" in old:
        engine.jumps = {"AAPL": 22_001}
    engine.submit(a_request())
    assert old in engine.records[-1]
    records = [*engine.records[:-1], engine.records[-1].replace(old, new)]
    found = []
    for number, reads in enumerate((replay_log, fold_log)):
        write_log(tmp_path / str(number), records)
        try:
            reads(tmp_path / str(number), HASHER)
        except (ReplayMismatch, NotOurLogError) as error:
            found.append(str(error))
    assert len(found) in (0, 2)
    return found[0] if found else ""


@pytest.mark.parametrize(
    ("text", "old", "new", "words"),
    [
        (RULE, b'"mark_jump":22001', b'"mark_jump":22001', ""),
        (RULE, b'"mark_jump":22001', b'"mark_jump":22000', "mark_jump: 22000 is not allowed; all"),
        (RULE, b'"mark_age_ns":1', b'"mark_age_ns":1,"mark_jump":22000', "more than 1000 bps from"),
        (WAIVED, b'"mark_age_ns":1', b'"mark_age_ns":1,"mark_jump":22001', "left out, but for"),
        (RULE, b'"mark_price":20000,"mark_age_ns":1,"mark_jump":22001', b'"mark_jump":22001',
         "left out, but for a mark"),
        (RULE, b'"mark_jump":22001', b'"mark_jump":0', "mark_jump"),
    ],
)  # fmt: skip
def test_a_jump_that_no_guard_says_is_found(
    tmp_path: Path, text: str, old: bytes, new: bytes, words: str
) -> None:
    found = refused(tmp_path, text, old, new)
    assert words in found
    assert bool(words) == bool(found)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("mark_jump_bps = 5", "limits.mark_jump_bps: 5 is not allowed; allowed: beside mark_conf"),
        ("mark_confirm_ms = 5", "limits.mark_confirm_ms: 5 is not allowed; allowed: beside mark_"),
        ("mark_jump_bps = 0\nmark_confirm_ms = 5", "limits.mark_jump_bps"),
        ("mark_jump_bps = 100_001\nmark_confirm_ms = 5", "limits.mark_jump_bps"),
        ("[limits.desk.desk-alpha]\nmark_jump_bps = 5\nmark_confirm_ms = 5",
         "limits.desk.desk-alpha.mark_jump_bps: 5 is not allowed; allowed: in the scopes of the"),
    ],
)  # fmt: skip
def test_a_rule_that_cannot_be_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words.replace(".", "\\.")):
        limits_config(f"{WAIVED}{text}")
