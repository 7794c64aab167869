"""Suspect orders: which are, from when on, and that nothing comes free by it."""

import io
from pathlib import Path
from typing import Any

import pytest

from guard.admin import messages as asked
from guard.admin.queries import answer
from guard.config.limits import effective_lines, tree_differences
from guard.engine.events import LimitsSet
from guard.engine.loosening import limit_loosenings
from guard.engine.suspects import SuspectSweep
from guard.protocol.limits import digest_hex
from guard.recovery.checkpoint_payload import decode_state, encode_state
from guard.replay.replay import replay_log
from guard.server.standing_alarms import SuspectOrders
from guard_limits_support import WAIVED, limited, limits_config
from guard_support import (
    KEY,
    T0,
    LoggedEngine,
    actor,
    balances,
    cancel,
    fill,
    fold,
    order,
    status,
    write_log,
)
from wal import ChainHasher

S = 1_000_000_000
RULE = f"{WAIVED}immediate_order_s = 10"


def opened(text: str = RULE, **changes: Any) -> LoggedEngine:
    engine = limited(text)
    engine.admit(order(**({"time_in_force": "ioc"} | changes)), T0)
    return engine


def is_suspect(engine: LoggedEngine, at_ns: int, name: str = "A-1") -> bool:
    told = engine.submit(status(name), at_ns)
    shown = answer(engine.state, asked.ListOpenOrders(suspect=True), at_ns).orders
    assert (name in [one.client_order_id for one in shown]) == (told.suspect is True)
    return told.suspect is True


@pytest.mark.parametrize(("after_ns", "expected"), [(10 * S - 1, False), (10 * S, True)])
@pytest.mark.parametrize("word", ["ioc", "fok"])
def test_from_when_on(word: str, after_ns: int, expected: bool) -> None:
    assert is_suspect(opened(time_in_force=word), T0 + after_ns) is expected


@pytest.mark.parametrize("word", ["day", "gtc"])
def test_others_may_stay_open(word: str) -> None:
    assert not is_suspect(opened(time_in_force=word), T0 + 10**6 * S)


@pytest.mark.parametrize(
    "text", [WAIVED, f"{WAIVED}[limits.desk.desk-beta]\nimmediate_order_s = 1"]
)
def test_where_no_limit_says_so_none_is(text: str) -> None:
    assert not is_suspect(opened(text), T0 + 10**6 * S)


def test_a_guard_without_limits_has_none() -> None:
    engine = LoggedEngine()
    engine.admit(order(time_in_force="ioc"), T0)
    assert not is_suspect(engine, T0 + 10**6 * S)


def test_the_strictest_scope_counts() -> None:
    engine = opened(f"{RULE}\n[limits.desk.desk-alpha]\nimmediate_order_s = 3")
    assert not is_suspect(engine, T0 + 3 * S - 1)
    assert is_suspect(engine, T0 + 3 * S)


@pytest.mark.parametrize("end", [cancel(), fill("F-1", 100, 0)])
def test_one_that_ends_is_none_any_more_and_until_then_it_is_held(end: Any, tmp_path: Path) -> None:
    engine = opened()
    before = balances(engine.state)
    assert is_suspect(engine, T0 + 20 * S)
    assert balances(engine.state) == before
    engine.submit(end, T0 + 21 * S)
    assert not is_suspect(engine, T0 + 22 * S)
    write_log(tmp_path / "log", engine.records)
    assert replay_log(tmp_path / "log", ChainHasher(KEY)).record_count == len(engine.records)


def test_a_part_that_is_filled_does_not_end_it() -> None:
    engine = opened()
    engine.submit(fill("F-1", 99, 0), T0 + 9 * S)
    assert is_suspect(engine, T0 + 10 * S)


def test_a_start_knows_them_again() -> None:
    engine = opened()
    data = b"".join(encode_state(engine.state))
    for state in (fold(engine.records).state, decode_state(io.BytesIO(data).read)):
        found = answer(state, asked.ListOpenOrders(suspect=True), T0 + 10 * S).orders
        assert [one.client_order_id for one in found] == ["A-1"]


def test_a_sweep_counts_all_of_them_a_part_at_a_time() -> None:
    engine = limited(RULE)
    engine.is_checked = False
    for number in range(7):
        word = "day" if number == 3 else "ioc"
        engine.admit(order(f"A-{number}", quantity=1, time_in_force=word), T0)
    sweep = SuspectSweep(engine.state, 3)
    for step, expected in enumerate((0, 0, 6, 6, 6, 6)):
        sweep.step(T0 + 10 * S)
        assert sweep.count == expected, step
    engine.submit(cancel("A-0"), T0 + 11 * S)
    for expected in (6, 6, 5):
        sweep.step(T0 + 11 * S)
        assert sweep.count == expected


def test_a_sweep_ends_where_no_limit_says_so_any_more() -> None:
    engine = opened()
    sweep = SuspectSweep(engine.state, 10)
    sweep.step(T0 + 10 * S)
    assert sweep.count == 1
    other = limits_config(WAIVED).limits
    engine.log(actor().event(LimitsSet, limits=other, limits_digest_hex=digest_hex(other)))
    sweep.step(T0 + 10 * S)
    assert sweep.count == 0


def test_the_operator_is_told_as_long_as_it_lasts() -> None:
    engine, now = opened(), [T0]
    watch = SuspectOrders(engine.state, lambda: now[0])
    assert watch.words() is None
    now[0] = T0 + 10 * S
    told = watch.words()
    assert told is not None
    assert told[0].startswith("1 order is open that its venue has ended by now (ioc and fok")
    engine.submit(cancel(), now[0])
    assert watch.words() is None


@pytest.mark.parametrize("value", ["0", "86_401", '"none"'])
def test_what_the_configuration_may_say(value: str) -> None:
    with pytest.raises(ValueError, match=r"immediate_order_s"):
        limits_config(f"{WAIVED}immediate_order_s = {value}")


ENDS = f'{WAIVED}session_ends = [{{venue = 10, ends = "21:00"}}, {{venue = 20, ends = "00:00"}}]\n'
DAY_S = 86_400
PROVIDERS = {10: 1 << 0, 20: 1 << 1, 30: 1 << 2}  # of the venues alone


def at(day: int, hour: int, minute: int = 0) -> int:
    """So many days behind the day of T0, then."""
    return (T0 // (DAY_S * S) + day) * DAY_S * S + (3_600 * hour + 60 * minute) * S


@pytest.mark.parametrize(
    ("venue", "received_ns", "end_ns"),
    [
        (10, at(1, 20, 59), at(1, 21)),
        (10, at(1, 21) - 1, at(1, 21)),
        (10, at(1, 21), at(2, 21)),
        (10, at(1, 22), at(2, 21)),
        (20, at(1, 0), at(2, 0)),
        (20, at(1, 23, 59), at(2, 0)),
    ],
)
def test_a_day_order_ends_with_its_venue_s_session(
    venue: int, received_ns: int, end_ns: int
) -> None:
    engine = limited(ENDS)
    engine.admit(
        order(time_in_force="day", venue=venue, allowed_providers=PROVIDERS[venue]), received_ns
    )
    assert not is_suspect(engine, end_ns - 1)
    assert is_suspect(engine, end_ns)
    held = balances(engine.state)
    assert is_suspect(engine, end_ns + 10 * DAY_S * S)
    assert balances(engine.state) == held
    engine.submit(cancel())
    assert not is_suspect(engine, end_ns + 10 * DAY_S * S)


@pytest.mark.parametrize(
    "changes", [{"venue": 30, "allowed_providers": PROVIDERS[30]}, {"time_in_force": "gtc"}]
)
def test_others_outlast_the_session(changes: dict[str, Any]) -> None:
    engine = limited(ENDS)
    engine.admit(order(**{"time_in_force": "day"} | changes), T0)
    assert not is_suspect(engine, T0 + 10 * DAY_S * S)


def test_a_sweep_counts_day_orders() -> None:
    engine = limited(ENDS)
    engine.admit(order(time_in_force="day"), at(1, 12))
    sweep = SuspectSweep(engine.state, 100)
    for now_ns, count in ((at(1, 21) - 1, 0), (at(1, 21), 1)):
        sweep.step(now_ns)
        assert sweep.count == count


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{venue = 10, ends = "24:00"}', "limits.session_ends[0].ends: '24:00' is not allowed"),
        ('{venue = 10, ends = "9:00"}', "limits.session_ends[0].ends: '9:00' is not allowed"),
        ('{venue = 99, ends = "21:00"}', "limits.session_ends: the policy has no venue 99"),
        ('{venue = 10, ends = "21:00"}, {venue = 10, ends = "22:00"}', "venue 10 stands twice"),
        ('{venue = 10, ends = "21:00", zone = "x"}', "limits.session_ends[0].zone: is not known"),
    ],
)
def test_a_session_that_cannot_be_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words.replace("[", "\\[").replace("]", "\\]")):
        limits_config(f"{WAIVED}session_ends = [{text}]\n")
    of_desk = f"[limits.desk.desk-alpha]\nsession_ends = [{text}]\n"
    with pytest.raises(ValueError, match="session_ends"):
        limits_config(f"{WAIVED}{of_desk}")


def test_a_session_is_shown_as_it_is_said() -> None:
    tree = limits_config(ENDS).limits
    assert effective_lines(tree, "desk-alpha", "AAPL")[-2:] == [
        ("session_ends", "venue 10 at 21:00 UTC", "limits"),
        ("session_ends", "venue 20 at 00:00 UTC", "limits"),
    ]
    assert tree_differences(limits_config(WAIVED).limits, tree) == [
        "limits.session_ends: unsaid -> venue 10 at 21:00 UTC, venue 20 at 00:00 UTC"
    ]
    assert limit_loosenings(tree, limits_config(WAIVED).limits, []) == []
