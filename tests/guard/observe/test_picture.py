"""The picture: records and replies in, plain data out."""

import json
from typing import Any

from guard.admin import queries
from guard.admin.messages import Configuration, DeskLine, ListDesks
from guard.engine.events import TradingHalted
from guard.observe.picture import SERIES_COLUMNS, Picture
from guard.observe.readiness import LATE_NS, SILENT_NS
from guard.observe.tally import REJECTS_KEPT, WORDS_MAX, Tally
from guard.protocol.messages import StatsReply
from guard_support import (
    SECOND_NS,
    T0,
    LoggedEngine,
    actor,
    cancel,
    fill,
    order,
)
from health_support import health
from record_line_support import lines_of


def traded() -> LoggedEngine:
    day = LoggedEngine()
    day.submit(order("A-1", sent_at_ns=T0 - 5))
    day.submit(order("A-2", quantity=10**4, price=10**6))
    day.submit(order("A-3", symbol="none"))
    day.submit(fill())
    day.submit(fill("F-2", client_order_id="nobody"))
    day.submit(cancel())
    stopped = actor(by="ann", why="it loops").event(TradingHalted, scope="desk", name="desk-alpha")
    day.log(stopped)
    return day


def shown(picture: Picture, now_ns: int = T0) -> dict[str, Any]:
    data = picture.now(now_ns)
    assert json.loads(json.dumps(data)) == data  # plain
    return data


def test_records_are_counted_by_what_they_were() -> None:
    picture = Picture(T0)
    picture.take_lines(lines_of(traded()), T0)
    tally = picture.tally
    assert tally.orders == {
        ("admit", "kernel", "requested_model_maximizes_utility"): 1,
        ("reject", "ledger", "exposure_limit_exceeded"): 1,
        ("reject", "order", "unknown_symbol"): 1,
    }
    assert (tally.fills, tally.fill_flags, tally.cancels) == (2, {"unknown": 1, "uncharged": 1}, 1)
    assert tally.events["trading_halted"] == 1
    totals = shown(picture)["totals"]
    assert totals["orders"][1] == ["reject", "ledger", "exposure_limit_exceeded", 1]
    assert totals["records"] == len(traded().records)
    [row] = picture.seconds(T0 + SECOND_NS)
    assert dict(zip(SERIES_COLUMNS, row, strict=True)) == {
        "begin_ns": T0 // SECOND_NS * SECOND_NS,
        "admitted": 1,
        "rejected_order": 1,
        "rejected_kernel": 0,
        "rejected_ledger": 1,
        "fills": 2,
        "cancels": 1,
        "answer_p50": None,
        "answer_p99": None,
        "sync_p50": None,
        "sync_p99": None,
        "sent_max": 5,
    }
    assert picture.minutes(T0)[-1][1:7] == row[1:7]


def test_what_came_before_is_shown_and_not_counted() -> None:
    picture = Picture(T0)
    lines = lines_of(traded())
    picture.begin_log(len(lines) + 1)
    picture.take_lines(lines, T0)
    data = shown(picture)
    assert (data["totals"]["orders"], data["totals"]["records"]) == ([], 0)
    assert [row["order"] for row in data["rejects"]] == ["A-3", "A-2"]
    assert data["feed"]["sequence"] == len(lines)
    assert len(picture.seconds(T0 + SECOND_NS)) == 1


def test_rejects_and_halts_are_in_words_the_newest_first() -> None:
    picture, day = Picture(T0), traded()
    picture.take_configuration(queries.answer(day.state, Configuration(), T0))
    picture.take_lines(lines_of(day), T0)
    data = shown(picture)
    assert data["currency"] == "USD"
    assert data["rejects"][1] == {
        "sequence": data["rejects"][1]["sequence"],
        "at_ns": data["rejects"][1]["at_ns"],
        "desk": "desk-alpha",
        "order": "A-2",
        "asked": "buy 10,000 AAPL at 10,000.00",
        "stage": "ledger",
        "reason": "exposure_limit_exceeded",
        "words": "above the desk's exposure cap: 100,000,000.00 asked, 1,481,000.00 left",
    }
    halt = data["halts"][0]
    names = ("is_halt", "what", "scope", "name", "by", "why")
    assert tuple(halt[name] for name in names) == (
        *(True, "entries stopped", "desk", "desk-alpha", "ann", "it loops"),
    )


def test_only_so_many_are_kept_and_words_of_tomorrow_are_counted_together() -> None:
    tally = Tally()
    line = (
        '{"sequence":%d,"data":{"event":"order_refused","received_at_ns":1,'
        '"answer":{"type":"reject","stage":"order","reason":"r-%d"}}}'
    )
    tally.take((line % (number, number)).encode() for number in range(1, 1_001))
    assert len(tally.rejects) == REJECTS_KEPT
    assert len(tally.orders) == WORDS_MAX + 1
    assert tally.orders["reject", "order", "other"] == 1_000 - WORDS_MAX
    assert tally.take([b"no record\n", b'{"sequence":"x"}', b"\xff\xff"]) == []
    assert tally.unreadable == 3
    assert tally.last_sequence == 1_000


def test_a_clock_far_ahead_does_not_empty_the_series() -> None:
    picture = Picture(T0)
    line = b'{"sequence":1,"data":{"event":"release","received_at_ns":%d,"answer":{}}}'
    picture.take_lines([line % (T0 + 10**18)], T0)
    picture.take_lines([line % (T0 - 10**18)], T0)  # and one from far behind is only counted
    [row] = picture.seconds(T0 + SECOND_NS)
    assert row[6] == 1
    assert picture.tally.cancels == 2


def test_answers_and_syncs_are_told_by_the_second() -> None:
    picture, none = Picture(T0), (2**63 - 1, 0)
    greatest = {"sync_latency_ns_max": 150, "answer_latency_ns_max": 900}
    picture.take_stats(StatsReply(greatest, [(100, 3), (200, 0), none]), T0)
    assert picture.seconds(T0 + SECOND_NS) == []  # since when is not known
    syncs, answers = [(100, 102), (200, 2), none], [(500, 1), (1_000, 1), none]
    picture.take_stats(StatsReply(greatest, syncs, answers_by_latency_ns=answers), T0)
    [row] = picture.seconds(T0 + SECOND_NS)
    assert row[7:11] == [500, 900, 100, 150]
    later = T0 + 5 * SECOND_NS
    picture.take_stats(StatsReply(greatest, syncs, answers_by_latency_ns=answers), later)
    assert picture.seconds(later + SECOND_NS)[-1][7:11] == [None] * 4
    assert picture.minutes(T0)[0][7:11] == [500, 900, 100, 150]


def test_desks_are_told_by_their_use_of_budget_or_cap() -> None:
    picture, day = Picture(T0), traded()
    lines = queries.answer(day.state, ListDesks(), T0).desks
    full = DeskLine("desk-full", 100, 99, 0, 1, None, 0, "halted", ["person"])
    capped = DeskLine("desk-capped", 10**9, 10, 0, 10**9 - 10, 10, 0, "active", [])
    empty = DeskLine("desk-empty", 0, 0, 0, 0, None, 0, "active", [])
    picture.take_desks([*lines, full, capped, empty], T0)
    rows = picture.desks()
    used = [(row["desk"], row["use_per_mille"]) for row in rows]
    assert used[:2] == [("desk-capped", 1_000), ("desk-full", 990)]
    assert used[-1] == ("desk-empty", 0)
    assert rows[1]["why"] == ["person"]
    [row] = picture.exposure("desk-full", T0)["rows"]
    assert row[1:] == [99, 99, 99, 0, 100, None]
    picture.take_desks(lines, T0)  # another log: its desks are gone
    assert picture.exposure("desk-full", T0)["rows"] == []


def test_ready_is_who_answers_serves_syncs_and_lets_entries_pass() -> None:
    picture = Picture(T0)
    assert list(picture.unready(T0)) == ["silent"]
    assert "not answered yet" in picture.unready(T0)["silent"]
    picture.note_silence("connection refused")
    assert "connection refused" in picture.unready(T0)["silent"]
    picture.take_health(health(), T0)
    assert picture.unready(T0 + LATE_NS - 1) == {}
    assert picture.unready(T0 + LATE_NS) == {"late": "the daemon has not answered for 2.0 s"}
    assert list(picture.unready(T0 + SILENT_NS - 1)) == ["late"]
    assert picture.unready(T0 + SILENT_NS) == {"silent": "the daemon has not answered for 5 s"}
    for changes, words in (
        ({"is_serving": False}, ["stopping"]),
        ({"batch_waiting_ns": 2 * SECOND_NS}, ["disk_stalled"]),
        ({"entries_halted": "disk_low"}, ["entries_halted"]),
        ({"is_firm_halted": True}, []),  # a person wants it so
    ):
        picture.take_health(health(**changes), T0)
        assert list(picture.unready(T0)) == words
    assert list(picture.troubles()) == ["firm_halted"]
    assert "resume --firm" in shown(picture)["troubles"]["firm_halted"]


def test_another_session_of_the_daemon_is_asked_for_its_configuration() -> None:
    picture, day = Picture(T0), traded()
    picture.take_health(health(), T0)
    assert not picture.has_configuration
    picture.take_configuration(queries.answer(day.state, Configuration(), T0))
    picture.take_health(health(), T0)
    assert picture.has_configuration
    picture.take_health(health(epoch=2), T0)
    assert not picture.has_configuration
    assert shown(picture)["daemon"]["epoch"] == 2


def test_how_far_the_records_are_behind_the_daemon() -> None:
    picture = Picture(T0)
    picture.take_health(health(head_sequence=500), T0)
    picture.take_lines(lines_of(traded()), T0)
    assert shown(picture)["feed"]["behind_records"] == 500 - len(traded().records)
    picture.take_health(health(head_sequence=1), T0)
    assert shown(picture)["feed"]["behind_records"] == 0
