"""Losses beyond their limits as the daemon records them: directly behind what has caused them."""

import json
from pathlib import Path
from typing import Any

import pytest

from guard.config.activation import limits_event
from guard.engine.events import SessionStarted
from guard.protocol.outcome import Outcome
from guard.recovery.recover import recover_log
from guard.replay.replay import replay_log
from guard.server.recording import record_losses
from guard.server.session_records import stage
from guard_limits_support import WAIVED, limits_config
from guard_support import KEY, T0, LoggedEngine, actor, fields_of, write_log
from guard_support import fill as filled
from guard_support import order as ordered
from kernel import InvariantError
from request_path_support import Guard, mark, order
from wal import ChainHasher, LogWriter

HASHER = ChainHasher(KEY)
PRICE = 20_000
LIMIT = "9.99"  # of 100 lots that lose ten ticks
TEXT = f'{WAIVED}revalue_bps = 0\n[limits.desk.desk-alpha]\nday_loss_max = "{LIMIT}"\n'
FIRM_TEXT = f'{TEXT}[limits.symbol.AAPL]\nday_loss_max = "{LIMIT}"\n'


def events(lines: list[bytes]) -> list[str]:
    return [json.loads(line)["data"].get("event", "order") for line in lines]


def fill(name: str, fill_id: str, lots: int, price: int) -> dict[str, Any]:
    return {
        "type": "fill", "desk": "desk-alpha", "client_order_id": name, "fill_id": fill_id,
        "quantity": lots, "fee_microcents": 0, "price": price,
    }  # fmt: skip


def begun(tmp_path: Path, text: str = TEXT) -> Guard:
    guard = Guard(tmp_path, limits_config(text))
    guard.ask(mark(PRICE), order("A-1", quantity=100, price=PRICE), fill("A-1", "F-1", 100, PRICE))
    return guard


def test_a_mark_that_costs_too_much_is_said_before_the_order(tmp_path: Path) -> None:
    guard = begun(tmp_path, FIRM_TEXT)
    before = guard.engine.next_sequence
    guard.ask(mark(PRICE - 10))
    assert guard.engine.next_sequence == before  # a mark is no record, and nothing is decided
    answers = guard.ask(order("A-2", price=PRICE), order("A-3", side="sell", price=PRICE))
    assert [answer["type"] for answer in answers] == ["reject", "admit"]
    assert answers[0]["reason"] == "day_loss_above_max"
    assert answers[0]["wal_sequence"] == before + 3
    wanted = ["revalued", "loss_breached", "loss_breached", "order", "order"]
    assert events(guard.end())[before - 1 :] == wanted


def test_a_fill_that_costs_too_much_is_said_behind_it(tmp_path: Path) -> None:
    guard = begun(tmp_path)
    guard.ask(order("S-1", side="sell", quantity=100, price=PRICE - 10))
    before = guard.engine.next_sequence
    counted = guard.path.decided_counters()["records"]
    answers = guard.ask(
        fill("S-1", "F-2", 100, PRICE - 10), order("A-2", price=PRICE), order("A-3", price=PRICE)
    )
    assert [answer["wal_sequence"] for answer in answers] == [before, before + 2, before + 3]
    assert guard.path.decided_counters()["records"] == counted + 4
    assert events(guard.end())[before - 1 :] == ["fill", "loss_breached", "order", "order"]


def test_early_fills_that_cost_too_much_are_said_among_them(tmp_path: Path) -> None:
    """Two that came before their order: the second stands behind what the first has caused."""
    guard = begun(tmp_path)
    guard.ask(fill("S-1", "F-2", 90, PRICE - 20), fill("S-1", "F-3", 10, PRICE - 20))
    before = guard.engine.next_sequence
    guard.ask(order("S-1", side="sell", quantity=100, price=PRICE - 20))
    assert events(guard.end())[before - 1 :] == ["order", "fill", "loss_breached", "fill"]


@pytest.mark.parametrize("cut", [0, 1, 2])
def test_a_start_records_what_a_crash_has_cut_off(cut: int, tmp_path: Path) -> None:
    """A torn write left what has caused them, and not all that stood behind it in its batch."""
    whole = LoggedEngine(limits_config(FIRM_TEXT))
    whole.marks = {"AAPL": (PRICE, 1)}
    whole.admit(ordered(quantity=100, price=PRICE))
    whole.submit(filled("F-1", 100, fee=0, price=PRICE))
    whole.admit(ordered("S-1", side="sell", quantity=100, price=PRICE - 10))
    whole.submit(filled("F-2", 100, fee=0, price=PRICE - 10, client_order_id="S-1"))
    assert b"loss_breached" in whole.records[-2]
    write_log(tmp_path, whole.records[: len(whole.records) - cut])
    recovered = recover_log(tmp_path, HASHER)
    engine = recovered.engine
    assert len(engine.state.losses_due) == cut
    if cut:
        with pytest.raises(InvariantError, match="to be recorded before anything is decided"):
            engine.decide(fields_of(ordered("A-2"), T0), Outcome())
    with LogWriter.open(
        tmp_path, HASHER, recovered.head, monotonic_ns=lambda: 0, lock=recovered.lock
    ) as writer:
        stage(engine, writer, [])
        assert record_losses(engine, writer) == cut
        writer.sync_now()
    assert engine.state.losses_due == {}
    assert list(engine.state.latches.entries()) == list(whole.state.latches.entries())
    assert replay_log(tmp_path, HASHER).record_count == len(whole.records)


def test_a_start_records_it_before_what_its_configuration_changes(tmp_path: Path) -> None:
    whole = LoggedEngine(limits_config(TEXT))
    whole.marks = {"AAPL": (PRICE, 1)}
    whole.admit(ordered(quantity=100, price=PRICE))
    whole.submit(filled("F-1", 100, fee=0, price=PRICE))
    whole.admit(ordered("S-1", side="sell", quantity=100, price=PRICE - 10))
    whole.submit(filled("F-2", 100, fee=0, price=PRICE - 10, client_order_id="S-1"))
    write_log(tmp_path, whole.records[:-1])
    recovered = recover_log(tmp_path, HASHER)
    engine = recovered.engine
    with LogWriter.open(
        tmp_path, HASHER, recovered.head, monotonic_ns=lambda: 0, lock=recovered.lock
    ) as writer:
        who = actor(engine.state.last_received_at_ns, engine.next_sequence)
        started = who.event(
            SessionStarted,
            epoch=engine.state.epoch + 1,
            software_version="9.9.9",
            recovered_sequence=recovered.head.sequence,
            recovered_hash=recovered.head.entry_hash,
            after_clean_stop=False,
            cuts=[],
        )
        other = limits_event(limits_config(WAIVED).limits, who)
        stage(engine, writer, [started, other])
        writer.sync_now()
    assert engine.state.latches.of("desk-alpha", "").keys() == {"loss"}
    assert replay_log(tmp_path, HASHER).record_count == len(whole.records) + 2
    lines = b"".join(path.read_bytes() for path in sorted(tmp_path.glob("*.jsonl"))).splitlines()
    assert events(lines)[-3:] == ["session_started", "loss_breached", "limits_set"]
