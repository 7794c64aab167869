"""Customers, accounts, traders and algorithms that people halt, let but reduce, and resume.

Every order goes through the bytes of its record; each test's log is replayed, folded, and its
state taken through a checkpoint, which must have the same states (`engines`).
"""

import io
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from guard import GUARD_FORM
from guard.admin import messages as asked
from guard.admin.actions import plan
from guard.admin.messages import AdminError
from guard.cli.admin import add as add_admin
from guard.engine import apply_trading, checks, state_checks
from guard.engine.events import AccountSet, TradingHalted
from guard.engine.state import GuardState
from guard.protocol.messages import Admit, Reject, Replace
from guard.recovery.checkpoint_payload import decode_state, encode_state, state_digest_hex
from guard.recovery.state_head import StateError
from guard.replay.replay import ReplayMismatch, replay_log
from guard.server.health import named
from guard_support import (
    KEY,
    LoggedEngine,
    actor,
    cancel,
    dev_config,
    fill,
    order,
    status,
    write_log,
)
from kernel import InvariantError
from log_checks_support import check_states, checked_at_end
from wal import ChainHasher

HASHER = ChainHasher(KEY)
ACCOUNTS = '[accounts.one]\ndesk = "desk-alpha"\n[accounts.two]\ndesk = "desk-alpha"\n' + "".join(
    f'[accounts.of-{name}]\ndesk = "desk-alpha"\ncustomer = "{name}"\n' for name in ("one", "two")
)
SCOPES = ("customer", "account", "trader", "algo")


def states(state: GuardState) -> Any:
    accounts = [(one.name, one.is_stopped, one.is_reducing) for one in state.accounts.all()]
    return accounts, sorted(state.stopped_names), sorted(state.reducing_names)


def shown(state: GuardState) -> Any:
    return state_digest_hex(state), states(state)


@pytest.fixture
def engines(tmp_path: Path) -> Iterator[list[LoggedEngine]]:
    """Those that a test puts here are checked at its end."""
    yield from checked_at_end(tmp_path, partial(check_states, shown=shown))


def begun(engines: list[LoggedEngine]) -> LoggedEngine:
    engine = LoggedEngine(dev_config(("[settings]", f"{ACCOUNTS}\n[settings]")))
    engines.append(engine)
    return engine


def act(engine: LoggedEngine, kind: Any, scope: str, name: str = "one") -> list[str]:
    action = kind(scope=scope, name=name, action_id=f"a-{len(engine.records)}", why="so")
    planned = plan(engine.state, action, actor(engine.now_ns))
    engine.log(planned.event)
    return planned.changes


def asking(engine: LoggedEngine, scope: str, name: str = "one", **changes: Any) -> Any:
    """What an order of that name is answered; its account is another one where that is not it."""
    of_scope = {"account": f"of-{name}"} if scope == "customer" else {"account": "two", scope: name}
    fields = {**of_scope, **changes}
    answer = engine.submit(order(f"V-{len(engine.records)}", **fields))
    if isinstance(answer, Admit):
        return "reducing" if answer.reducing is True else "admitted"
    assert isinstance(answer, Reject)
    assert answer.detail == {}
    return answer.reason


@pytest.mark.parametrize("scope", SCOPES)
def test_a_halt_stops_all_orders_of_it_and_of_no_other(
    engines: list[LoggedEngine], scope: str
) -> None:
    engine = begun(engines)
    assert asking(engine, scope) == "admitted"
    engine.submit(fill("F-1", 40, fee=0, client_order_id="V-11"))
    assert act(engine, asked.Halt, scope) == [f"{scope} one: active -> halted"]
    assert asking(engine, scope) == f"{scope}_halted"
    assert asking(engine, scope, side="sell", quantity=1) == f"{scope}_halted"
    assert asking(engine, scope, "two") == "admitted"
    for other in SCOPES:
        if other != scope and other != "account":
            assert asking(engine, other) == "admitted"
    engine.restart()
    assert asking(engine, scope) == f"{scope}_halted"
    # Facts pass, and so does a replace that only lowers the risk of what works.
    engine.submit(fill("F-2", 1, fee=0, client_order_id="V-11"))
    less = Replace("R-1", "desk-alpha", "V-11", 50, 19_000, "limit", "day")
    more = Replace("R-2", "desk-alpha", "V-11", 101, 19_000, "limit", "day")
    refused = engine.submit(more)
    assert isinstance(refused, Reject)
    assert refused.reason == f"{scope}_halted"
    assert isinstance(engine.submit(less), Admit)
    engine.submit(cancel("V-11"))
    assert engine.submit(status("V-11")).state == "closed"
    assert act(engine, asked.Resume, scope) == [f"{scope} one: halted -> active"]
    assert asking(engine, scope) == "admitted"


@pytest.mark.parametrize("scope", SCOPES)
def test_reducing_lets_exits_pass(engines: list[LoggedEngine], scope: str) -> None:
    engine = begun(engines)
    assert asking(engine, scope) == "admitted"
    engine.submit(fill("F-1", 40, fee=0, client_order_id="V-11"))
    act(engine, asked.Halt, scope)
    assert act(engine, asked.Reducing, scope) == [f"{scope} one: halted -> reducing"]
    assert asking(engine, scope) == f"{scope}_reducing"
    engine.restart()
    assert asking(engine, scope, side="sell", quantity=41) == f"{scope}_reducing"
    assert asking(engine, scope, side="sell", quantity=40) == "reducing"
    assert asking(engine, scope, "two") == "admitted"
    act(engine, asked.Resume, scope)
    assert asking(engine, scope) == "admitted"


def test_the_strictest_that_applies_is_said_in_the_tables_order(
    engines: list[LoggedEngine],
) -> None:
    engine = begun(engines)
    names = {"trader": "one", "algo": "one"}
    for scope in SCOPES:
        act(engine, asked.Reducing, scope)
    assert asking(engine, "customer", **names) == "customer_reducing"
    assert asking(engine, "account", **names) == "account_reducing"
    act(engine, asked.Halt, "algo")
    assert asking(engine, "customer", **names) == "algo_halted"
    assert asking(engine, "account", **names) == "algo_halted"
    act(engine, asked.Halt, "trader")
    assert asking(engine, "account", **names) == "trader_halted"
    act(engine, asked.Halt, "account")
    act(engine, asked.Halt, "customer")
    act(engine, asked.Halt, "symbol", "AAPL")
    assert asking(engine, "customer", **names) == "customer_halted"
    assert asking(engine, "account", **names) == "account_halted"
    act(engine, asked.Halt, "desk", "desk-alpha")
    answer = engine.submit(order("Z-1", account="one", **names))
    assert answer.reason == "desk_halted"


@pytest.mark.parametrize("scope", SCOPES)
def test_what_cannot_be_done(scope: str) -> None:
    engine = LoggedEngine(dev_config(("[settings]", f"{ACCOUNTS}\n[settings]")))
    with pytest.raises(AdminError) as caught:
        act(engine, asked.Resume, scope)
    assert caught.value.code == "not_halted"
    act(engine, asked.Halt, scope)
    with pytest.raises(AdminError) as caught:
        act(engine, asked.Halt, scope)
    assert caught.value.code == "already_so"
    is_known = scope in ("customer", "account")  # no other is defined anywhere
    with pytest.raises(AdminError) as caught:
        act(engine, asked.Halt, scope, "nix" if is_known else "")
    assert caught.value.code == (f"unknown_{scope}" if is_known else "invalid")
    with pytest.raises(AdminError):  # nobody's accounts are no customer's
        act(engine, asked.Halt, scope, "")
    forgiving = asked.Resume(scope=scope, name="one", forgive_fees=True, action_id="f", why="so")
    with pytest.raises(AdminError) as caught:
        plan(engine.state, forgiving, actor())
    assert caught.value.field == "forgive_fees"


def test_a_customer_is_what_accounts_say(engines: list[LoggedEngine]) -> None:
    engine = begun(engines)
    assert act(engine, asked.Halt, "customer") == ["customer one: active -> halted"]
    assert asking(engine, "customer") == "customer_halted"
    # The account goes to another customer, and a new one of another desk comes to this one.
    engine.log(actor().event(AccountSet, account="of-one", desk="desk-alpha", customer="two"))
    assert asking(engine, "customer") == "admitted"
    engine.log(actor().event(AccountSet, account="b", desk="desk-beta", customer="one"))
    assert asking(engine, "account", "b", desk="desk-beta", quantity=1) == "customer_halted"
    engine.restart()
    assert asking(engine, "account", "b", desk="desk-beta", quantity=1) == "customer_halted"
    # Nobody's account is no customer's, and who has none any more can be resumed all the same.
    assert asking(engine, "account") == "admitted"
    engine.log(actor().event(AccountSet, account="b", desk="desk-beta"))
    assert asking(engine, "account", "b", desk="desk-beta", quantity=1) == "admitted"
    assert act(engine, asked.Resume, "customer") == ["customer one: halted -> active"]
    with pytest.raises(AdminError, match="there is no customer 'one'"):
        act(engine, asked.Halt, "customer")
    with pytest.raises(InvariantError, match="no account is of customer one"):
        engine.log(actor().event(TradingHalted, scope="customer", name="one"))


def test_no_more_names_than_there_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = LoggedEngine()
    monkeypatch.setattr(apply_trading, "NAMES_STOPPED_MAX", 2)
    monkeypatch.setattr("guard.admin.trading_actions.NAMES_STOPPED_MAX", 2)
    act(engine, asked.Halt, "trader", "a")
    act(engine, asked.Reducing, "algo", "a")
    act(engine, asked.Halt, "algo", "a")  # of which there is one already
    with pytest.raises(AdminError, match="2 customers, traders and algorithms are stopped"):
        act(engine, asked.Halt, "trader", "b")
    event = actor().event(TradingHalted, scope="trader", name="b")
    with pytest.raises(InvariantError, match="one more than 2"):
        engine.log(event)


def test_a_log_that_cannot_be() -> None:
    for scope, name, version in (
        ("customer", "nix", 3), ("account", "nix", 3),
        ("trader", "", 3), ("algo", "", 3), ("trader", "t", 2),
    ):  # fmt: skip
        engine = LoggedEngine(rules_version=version)
        with pytest.raises(InvariantError):
            engine.log(actor().event(TradingHalted, scope=scope, name=name))


def test_a_checkpoint_that_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = LoggedEngine(dev_config(("[settings]", f"{ACCOUNTS}\n[settings]")))
    act(engine, asked.Halt, "account")
    act(engine, asked.Halt, "trader", "one")
    payload = b"".join(encode_state(engine.state))
    assert states(decode_state(io.BytesIO(payload).read)) == states(engine.state)
    other = payload.replace(b'"stopped_accounts":["one"]', b'"stopped_accounts":["nix"]')
    with pytest.raises(StateError, match="stopped_accounts"):
        decode_state(io.BytesIO(other).read)
    monkeypatch.setattr("guard.recovery.account_state.NAMES_STOPPED_MAX", 0)
    with pytest.raises(StateError, match="stopped_names"):
        decode_state(io.BytesIO(payload).read)


def test_what_is_stopped_is_told() -> None:
    engine = LoggedEngine(dev_config(("[settings]", f"{ACCOUNTS}\n[settings]")))
    act(engine, asked.Halt, "account")
    act(engine, asked.Halt, "algo", "x")
    act(engine, asked.Reducing, "trader", "t")
    state = engine.state
    assert named(state, state.stopped_names, "is_stopped") == ["account one", "algo x"]
    assert named(state, state.reducing_names, "is_reducing") == ["trader t"]


def test_the_command_line_names_one_scope() -> None:
    import argparse

    parser = argparse.ArgumentParser()
    add_admin(parser.add_subparsers())
    for scope in SCOPES:
        options = parser.parse_args([
            "admin", "halt", f"--{scope}", "one", "--why", "so", "--log", "x",
        ])  # fmt: skip
        action = options.verb.build(options, {"action_id": "x", "why": "so"})
        assert (action.scope, action.name) == (scope, "one")


# Planted bugs: each shows, live and in replay.


def played() -> list[bytes]:
    day = LoggedEngine(dev_config(("[settings]", f"{ACCOUNTS}\n[settings]")))
    asking(day, "account")
    day.submit(fill("F-1", 40, fee=0, client_order_id="V-11"))
    for scope in SCOPES:
        act(day, asked.Halt, scope)
        asking(day, scope)
        act(day, asked.Reducing, scope)
        asking(day, scope)
        asking(day, scope, side="sell", quantity=1)
        act(day, asked.Resume, scope)
    return day.records


RECORDS = played()
NAMES = [f"{scope}_{state}" for scope in SCOPES for state in ("halted", "reducing")]


@pytest.mark.skipif(GUARD_FORM == "compiled", reason="what is compiled calls itself")
@pytest.mark.parametrize("bug", ["does not refuse", "refuses exits, too"])
@pytest.mark.parametrize("name", NAMES)
def test_a_planted_bug_is_found(
    name: str, bug: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write_log(tmp_path, RECORDS)
    assert replay_log(tmp_path, HASHER).engine.next_sequence == len(RECORDS) + 1
    function = getattr(state_checks, name)
    rows: list[Any] = list(checks.CHECKS_BEHIND_KERNEL)
    (row,) = [row for row in rows if row.function is function]
    if bug == "does not refuse":
        monkeypatch.setattr(row, "function", lambda *_: False)
    elif row.spares_exits:
        monkeypatch.setattr(row, "spares_exits", False)
    else:
        pytest.skip("a halt stops exits")
    assert played() != RECORDS, "played with it, the day is the same"
    with pytest.raises((ReplayMismatch, InvariantError)):
        replay_log(tmp_path, HASHER)
