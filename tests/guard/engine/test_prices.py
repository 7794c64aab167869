"""Prices of positions: when one is due, and that a log with one missing, early or late is refused.

Every order goes through the bytes of its record; each log is replayed, folded, and its state taken
through a checkpoint.
"""

import io
from pathlib import Path

import msgspec
import pytest

from guard.engine.prices import NEVER, Prices
from guard.protocol.messages import I64_MAX
from guard.protocol.ranges import TIME_NS_MAX
from guard.recovery.checkpoint_payload import decode_state, encode_state, state_digest_hex
from guard.recovery.recover import NotOurLogError, fold_log
from guard.replay.replay import ReplayMismatch, replay_log
from guard_limits_support import WAIVED, limited, limits_config, verdict
from guard_support import KEY, SECOND_NS, T0, LoggedEngine, dev_config, settled, write_log
from wal import ChainHasher

HASHER = ChainHasher(KEY)
RULE = f"{WAIVED}revalue_bps = 100\nrevalue_s = 60"


def known(bps: int, window_s: int, price: int, at_ns: int = 1) -> Prices:
    prices = Prices()
    prices.set_rule(bps, window_s)
    prices.put(3, price, at_ns)
    return prices


DUE = [
    # basis points, seconds, recorded, mark: due from when on
    (100, 0, 0, 1, 0),
    (100, 0, 10_000, 10_000, NEVER),
    (100, 0, 10_000, 10_100, NEVER),
    (100, 0, 10_000, 9_900, NEVER),
    (100, 0, 10_000, 10_101, 0),
    (100, 0, 10_000, 9_899, 0),
    (100, 60, 10_000, 10_000, NEVER),
    (100, 60, 10_000, 10_100, 1 + 60 * SECOND_NS),
    (100, 60, 10_000, 10_101, 0),
    (0, 0, 10_000, 10_001, 0),
    (0, 0, 10_000, 10_000, NEVER),
    (100, 60, 10_000, 0, NEVER),
    (100_000, 0, 1, 11, NEVER),
    (100_000, 0, 1, 12, 0),
    (100_000, 0, I64_MAX, 1, NEVER),
    (9_999, 0, I64_MAX, 1, 0),
    (100, 0, 1, I64_MAX, 0),
]


@pytest.mark.parametrize(("bps", "window_s", "price", "mark", "due_at_ns"), DUE)
def test_when_a_price_is_due(
    bps: int, window_s: int, price: int, mark: int, due_at_ns: int
) -> None:
    prices = known(bps, window_s, price)
    assert prices.due_at_ns(3, mark) == due_at_ns
    for at_ns in (0, 1, 60 * SECOND_NS, 1 + 60 * SECOND_NS, TIME_NS_MAX):
        assert prices.is_due(3, mark, at_ns) == (due_at_ns <= at_ns)


def test_at_the_end_of_time_nothing_falls_due() -> None:
    assert known(100, 60, 10_000, TIME_NS_MAX).due_at_ns(3, 10_001) in (
        NEVER,
        TIME_NS_MAX + 60 * SECOND_NS,
    )


def test_without_the_rule_nothing_is_due() -> None:
    prices = known(0, 1, 10)
    prices.set_rule(None, 0)
    assert not prices.is_kept
    assert prices.due_at_ns(3, 11) == NEVER


def test_a_dump_is_loaded_and_a_bad_one_is_not() -> None:
    prices = known(100, 0, 5, 7)
    prices.put(1, 9, 8)
    again = Prices()
    again.load(prices.dump(), 4)
    assert again.dump() == prices.dump() == [(1, 9, 8), (3, 5, 7)]
    for entries in ([(4, 1, 1)], [(3, 1, 1), (3, 1, 1)], [(2, 1, 1), (1, 1, 1)]):
        with pytest.raises(ValueError, match="a price is recorded of symbol"):
            Prices().load(entries, 4)


def day(text: str = RULE) -> LoggedEngine:
    """Marks that stand still, move a little, move far; and one that time alone makes due."""
    engine = limited(text)
    for second, price in ((1, 19_000), (2, 19_100), (3, 19_400), (4, 19_450), (63, 19_450)):
        engine.marks["AAPL"] = (price, 5)
        verdict(engine, T0 + second * SECOND_NS, price=price)
    engine.marks["BTC-USD"] = (6_000_000, 1)
    verdict(engine, symbol="BTC-USD", quantity=1, price=6_000_000)
    return engine


def prices_in(records: list[bytes]) -> list[tuple[str, int, int]]:
    found = [msgspec.json.decode(data) for data in records]
    return [
        (event["symbol"], event["price"], event["age_ns"])
        for event in found
        if event.get("event") == "revalued"
    ]


def replayed(place: Path, records: list[bytes]) -> str:
    """What a replay says of a log of these records; nothing where it takes it."""
    write_log(place, settled(records))
    try:
        replay_log(place, HASHER)
    except ReplayMismatch as mismatch:
        return str(mismatch)
    return ""


def test_a_price_is_recorded_once_it_has_moved_or_is_old(tmp_path: Path) -> None:
    engine = day()
    assert prices_in(engine.records) == [
        ("AAPL", 19_000, 5),
        ("AAPL", 19_400, 5),
        ("AAPL", 19_450, 5),
        ("BTC-USD", 6_000_000, 1),
    ]
    assert replayed(tmp_path / "log", engine.records) == ""
    folded, _ = fold_log(tmp_path / "log", HASHER)
    wanted = state_digest_hex(engine.state)
    assert state_digest_hex(folded.state) == wanted
    carried = decode_state(io.BytesIO(b"".join(encode_state(engine.state))).read)
    assert state_digest_hex(carried) == wanted
    assert carried.prices.dump() == engine.state.prices.dump() != []


def numbered(records: list[bytes], first: int, change: int) -> list[bytes]:
    """The records with the sequences that they have where some before them were added or cut."""
    found = []
    for number, data in enumerate(records, 1):
        event = msgspec.json.decode(data)
        if number >= first and event.get("event") == "revalued":
            event["batch_first_sequence"] += change
            data = msgspec.json.encode(event)
        found.append(data)
    return found


def is_price(data: bytes) -> bool:
    return data.startswith(b'{"event":"revalued"')


def test_a_price_that_is_missing_or_late_is_found(tmp_path: Path) -> None:
    records = day().records
    at = next(index for index, data in enumerate(records) if is_price(data))
    # Without its record, and with it behind the order, as the log's own key would chain them.
    said = replayed(tmp_path / "missing", records[:at] + records[at + 1 :])
    assert (
        "mark_price: 19000 is not allowed; allowed: the mark of a record revalued of AAPL" in said
    )
    late = [*records[:at], records[at + 1], records[at], *records[at + 2 :]]
    assert "the mark of a record revalued of AAPL before it" in replayed(tmp_path / "late", late)
    for name in ("missing", "late"):
        with pytest.raises(NotOurLogError, match="the mark of a record revalued"):
            fold_log(tmp_path / name, HASHER)


BAD = [
    ("price", 19_000, "price: 19000 is not allowed; allowed: one that revalue_bps or revalue_s"),
    ("price", 19_190, "price: 19190 is not allowed; allowed: one that revalue_bps or revalue_s"),
    ("symbol", "NONE", "symbol: 'NONE' is not allowed; allowed: the name of an instrument"),
    ("elapsed_ns", 1, "elapsed_ns: 1 is not allowed; allowed: from"),
    ("price", 0, "price"),
    ("age_ns", 0, "age_ns"),
    ("client", "desk-alpha", "client: 'desk-alpha' is not allowed; allowed: local"),
]


@pytest.mark.parametrize(("field", "value", "words"), BAD)
def test_a_price_that_is_early_or_cannot_be_is_found(
    tmp_path: Path, field: str, value: object, words: str
) -> None:
    records = day().records
    at = [index for index, data in enumerate(records) if is_price(data)][1]
    event = {**msgspec.json.decode(records[at]), field: value}
    log = [*records[:at], msgspec.json.encode(event), *records[at + 1 :]]
    assert words in replayed(tmp_path / "log", log)
    with pytest.raises(NotOurLogError, match=words[:20]):
        fold_log(tmp_path / "log", HASHER)


@pytest.mark.parametrize("text", [WAIVED, ""])
def test_where_nothing_asks_for_prices_none_is_recorded(tmp_path: Path, text: str) -> None:
    engine = day(text) if text else LoggedEngine(dev_config())
    if not text:
        engine.marks["AAPL"] = (19_000, 1)
        verdict(engine)
    assert prices_in(engine.records) == []
    price = next(data for data in day().records if is_price(data))
    event = msgspec.json.decode(price)
    event["batch_first_sequence"] = len(engine.records) + 1
    event["received_at_ns"] = engine.state.last_received_at_ns
    event["elapsed_ns"] = TIME_NS_MAX
    log = [*engine.records, msgspec.json.encode(event)]
    assert "allowed: one that revalue_bps or revalue_s make due" in replayed(tmp_path / "log", log)


def test_other_sizes_of_a_symbol_end_its_price() -> None:
    engine = day()
    state = engine.state
    number = state.positions.number_of("AAPL")
    assert state.prices.price(number) == 19_450
    state.define(state.instruments["AAPL"])
    assert state.prices.price(number) == 0


BAD_TREES = [
    ("revalue_s = 1", "limits.revalue_s: 1 is not allowed; allowed: beside revalue_bps"),
    ("revalue_bps = -1", "limits.revalue_bps"),
    ("revalue_bps = 100_001", "limits.revalue_bps"),
    ("revalue_bps = 1\nrevalue_s = 0", "limits.revalue_s"),
    ("revalue_bps = 1\nrevalue_s = 86_401", "limits.revalue_s"),
    ("[limits.symbol.AAPL]\nrevalue_bps = 1", "limits.symbol.AAPL.revalue_bps: 1 is not allowed; "
     "allowed: in the firm's scope alone"),
    ("revalue_bps = 1\n[limits.desk.desk-alpha]\nrevalue_s = 1",
     "limits.desk.desk-alpha.revalue_s"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "words"), BAD_TREES)
def test_a_rule_that_cannot_be_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words[:40].replace(".", "\\.")):
        limits_config(f"{WAIVED}{text}")
