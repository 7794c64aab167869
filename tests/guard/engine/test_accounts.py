"""Names on an order: its account, its trader, its algorithm; and which accounts there are.

Every order goes through the bytes of its record; each test's log is replayed, folded, and its
state taken through a checkpoint, which must have the same accounts (`engines`).
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from guard import GUARD_FORM
from guard.admin import messages as asked
from guard.admin.actions import done_before, plan
from guard.admin.messages import AdminError
from guard.admin.queries import answer
from guard.audit.sentences import sentence_of
from guard.config.accounts import AccountTerms
from guard.config.activation import find_differences, opening_events
from guard.config.errors import ConfigError
from guard.config.file import Config
from guard.config.last_read import said_by
from guard.engine import accounts, order_checks, replacing
from guard.engine.account_events import AccountSet
from guard.engine.accounts import Accounts
from guard.engine.overrides import order_digest_hex
from guard.engine.state import GuardState
from guard.protocol.messages import Admit, Reject, Replace
from guard.recovery.checkpoint_payload import state_digest_hex
from guard.replay.replay import ReplayMismatch, replay_log
from guard_support import (
    KEY,
    LOG_ID,
    T0,
    LoggedEngine,
    actor,
    cancel,
    dev_config,
    fields_of,
    fill,
    order,
    status,
    write_log,
)
from kernel import InvariantError
from log_checks_support import check_states, checked_at_end
from wal import ChainHasher

HASHER = ChainHasher(KEY)
TWO = """
[accounts.ACC-1]
desk = "desk-alpha"
customer = "ACME"
[accounts.ACC-2]
desk = "desk-alpha"
"""
ENTRIES = [("ACC-1", "desk-alpha", "ACME"), ("ACC-2", "desk-alpha", "")]


def config(text: str = TWO) -> Config:
    return dev_config(("[settings]", f"{text}\n[settings]"))


def shown(state: GuardState) -> Any:
    bound = {name for name, desk in state.desks.items() if desk.has_accounts}
    assert bound == {desk for _, desk, _ in state.accounts.entries()}
    return state_digest_hex(state), state.accounts.entries()


@pytest.fixture
def engines(tmp_path: Path) -> Iterator[list[LoggedEngine]]:
    """Those that a test puts here are checked at its end."""
    yield from checked_at_end(tmp_path, partial(check_states, shown=shown))


def begun(engines: list[LoggedEngine], text: str = TWO) -> LoggedEngine:
    engine = LoggedEngine(config(text))
    engines.append(engine)
    return engine


def act(engine: LoggedEngine, action: Any) -> Any:
    """Does it, as the admin endpoint would, and gives what it changed."""
    planned = plan(engine.state, action, actor(engine.now_ns))
    engine.log(planned.event)
    return planned.changes


def set_account(account: str, desk: str, customer: str = "", name: str = "set") -> Any:
    return asked.SetAccount(
        account=account, desk=desk, customer=customer, action_id=name, why="a new one"
    )


def refusal(answer: Any) -> tuple[str, str, dict[str, int]]:
    assert isinstance(answer, Reject)
    return answer.stage, answer.reason, answer.detail


def test_a_name_that_is_absent_adds_no_byte() -> None:
    engine = LoggedEngine()
    engine.admit(order("A-1"))
    for word in (b'"account"', b'"trader"', b'"algo"'):
        assert word not in engine.records[-1]
    plain = b"".join(engine.state.orders.dump())
    engine.submit(cancel("A-1"))
    named = LoggedEngine()
    named.admit(order("A-1", trader="t.one"))
    assert b'"sent_at_ns":null,"trader":"t.one"},"answer"' in named.records[-1]
    names = b"\xc0\xa5t.one\xc0"  # null for what is not said
    assert names in b"".join(named.state.orders.dump())
    assert b"t.one" not in plain


def test_a_desk_that_has_accounts_must_be_given_one(engines: list[LoggedEngine]) -> None:
    engine = begun(engines)
    assert refusal(engine.submit(order("A-1"))) == ("order", "account_missing", {})
    for account in ("ACC-3", "acc-1", "ACC-1x", "ACC-"):
        wanted = ("order", "account_unknown", {})
        assert refusal(engine.submit(order(f"U-{account}", account=account))) == wanted
    engine.admit(order("A-2", account="ACC-1"))
    engine.admit(order("A-3", account="ACC-2", trader="t.one", algo="vwap/2"))
    # A desk that has none is asked for none; another's is no account of it.
    beta: dict[str, Any] = {"desk": "desk-beta", "quantity": 1}
    engine.admit(order("B-1", **beta))
    wanted = ("order", "account_unknown", {})
    assert refusal(engine.submit(order("B-2", **beta, account="ACC-1"))) == wanted
    # Refused once, refused for good.
    again = engine.submit(order("A-1"))
    assert isinstance(again, Reject)
    assert again.repeat


def test_names_of_traders_and_algorithms_are_free(engines: list[LoggedEngine]) -> None:
    engine = begun(engines, "")
    engine.admit(order("A-1", trader="a" * 32, algo="z" * 32))
    engine.admit(order("A-2", algo="x"))
    assert status_order(engine, "A-1") == ("", "a" * 32, "z" * 32)
    assert status_order(engine, "A-2") == ("", "", "x")


def status_order(engine: LoggedEngine, name: str) -> tuple[str, str, str]:
    """The names that are remembered of an order."""
    orders = engine.state.orders
    orders.read(orders.find_named(fields_of(order(name), engine.now_ns), engine.now_ns))
    known = orders.known
    return known.account, known.trader, known.algo


@pytest.mark.parametrize("verdict", ["admitted", "rejected", "located", "refused"])
def test_names_are_remembered_and_are_content(engines: list[LoggedEngine], verdict: str) -> None:
    engine = begun(engines)
    changes: dict[str, Any] = {
        "admitted": {},
        "rejected": {"risk_bps": 9_999},
        "located": {"locate_id": "L-1"},
        "refused": {"symbol": "nothing"},
    }[verdict]
    names = {"account": "ACC-1", "trader": "t.one", "algo": "vwap"}
    first = engine.submit(order("A-1", **names, **changes))
    assert isinstance(first, Admit) == (verdict in ("admitted", "located"))
    # Behind another order: what was read of that one is not taken for this one's.
    engine.submit(order("A-2", account="ACC-2"))
    again = engine.submit(order("A-1", **names, **changes))
    assert again.repeat
    assert again.wal_sequence == first.wal_sequence
    for name in names:
        other = engine.submit(order("A-1", **{**names, name: "other"}, **changes))
        assert (other.reason, other.field) == ("client_order_id_reused", name)
        unsaid = {key: value for key, value in names.items() if key != name}
        other = engine.submit(order("A-1", **unsaid, **changes))
        assert (other.reason, other.field) == ("client_order_id_reused", name)
    assert status_order(engine, "A-1") == tuple(names.values())
    assert status_order(engine, "A-2") == ("ACC-2", "", "")


def test_a_replace_keeps_its_orders_names(engines: list[LoggedEngine]) -> None:
    engine = begun(engines)
    engine.admit(order("A-1", account="ACC-1", trader="t.one"))
    engine.admit(order("A-0", account="ACC-2", algo="vwap"))
    for new, old in (("A-2", "A-1"), ("Z-2", "A-0")):
        asking = Replace(new, "desk-alpha", old, 200, 19_000, "limit", "day")
        assert isinstance(engine.submit(asking), Admit)
    assert b'"account":"ACC-1","trader":"t.one"},' in engine.records[-2]
    assert b'"account":"ACC-2","algo":"vwap"},' in engine.records[-1]
    assert status_order(engine, "A-2") == ("ACC-1", "t.one", "")
    assert status_order(engine, "Z-2") == ("ACC-2", "", "vwap")
    repeat = engine.submit(Replace("A-2", "desk-alpha", "A-1", 200, 19_000, "limit", "day"))
    assert repeat.repeat


def test_a_desk_may_get_its_first_account_while_orders_of_it_work(
    engines: list[LoggedEngine],
) -> None:
    engine = begun(engines, "")
    engine.admit(order("A-1"))
    changes = act(engine, set_account("ACC-9", "desk-alpha"))
    assert changes == [
        "account ACC-9 of desk desk-alpha: added, customer none",
        "desk desk-alpha: its orders have to name an account from now on",
    ]
    assert refusal(engine.submit(order("A-2")))[1] == "account_missing"
    # What only lowers the risk of the order without one passes; what adds to it does not.
    more = Replace("A-3", "desk-alpha", "A-1", 101, 19_000, "limit", "day")
    assert refusal(engine.submit(more))[1] == "account_missing"
    less = Replace("A-4", "desk-alpha", "A-1", 90, 19_000, "limit", "day")
    assert isinstance(engine.submit(less), Admit)
    engine.submit(fill("F-1", 40))
    engine.submit(cancel("A-1"))
    assert engine.submit(status("A-1")).state == "closed"
    # An exit, too, says whose position it reduces.
    assert refusal(engine.submit(order("X-1", side="sell", quantity=1)))[1] == "account_missing"
    answer = engine.submit(order("X-2", side="sell", quantity=1, account="ACC-9"))
    assert isinstance(answer, Admit)
    assert answer.reducing is True


def test_before_a_halt_and_behind_the_kernels_own_words(engines: list[LoggedEngine]) -> None:
    engine = begun(engines)
    halt = asked.Halt(scope="firm", action_id="h", why="stop")
    act(engine, halt)
    assert refusal(engine.submit(order("A-1")))[1] == "account_missing"
    assert refusal(engine.submit(order("A-2", account="nix")))[1] == "account_unknown"
    assert refusal(engine.submit(order("A-3", account="ACC-1")))[1] == "firm_halted"
    assert refusal(engine.submit(order("A-4", symbol="nix")))[1] == "unknown_symbol"


def test_an_account_is_added_and_gets_another_customer(engines: list[LoggedEngine]) -> None:
    engine = begun(engines)
    state = engine.state
    assert state.accounts.entries() == ENTRIES
    action = set_account("ACC-2", "desk-alpha", "ACME", "one")
    wanted = ["account ACC-2 of desk desk-alpha: customer none -> ACME"]
    assert act(engine, action) == wanted
    done = done_before(state, action, actor(engine.now_ns))
    assert done is not None
    assert done.sequence == len(engine.records)
    act(engine, set_account("ACC-1", "desk-alpha", "", "two"))
    act(engine, set_account("ACC-0", "desk-beta", "ACME", "three"))
    assert state.accounts.entries() == [
        ("ACC-0", "desk-beta", "ACME"),
        ("ACC-1", "desk-alpha", ""),
        ("ACC-2", "desk-alpha", "ACME"),
    ]
    engine.restart()
    engine.admit(order("B-1", desk="desk-beta", quantity=1, account="ACC-0"))


@pytest.mark.parametrize(
    ("account", "desk", "customer", "code", "field"),
    [
        ("ACC-3", "nix", "", "unknown_desk", "desk"),
        ("ACC-1", "desk-beta", "ACME", "account_exists", "desk"),
        ("ACC-1", "desk-alpha", "ACME", "already_so", "customer"),
        ("ACC-2", "desk-alpha", "", "already_so", "customer"),
    ],
)
def test_an_account_that_cannot_be_set(
    account: str, desk: str, customer: str, code: str, field: str
) -> None:
    engine = LoggedEngine(config())
    with pytest.raises(AdminError) as caught:
        plan(engine.state, set_account(account, desk, customer), actor())
    assert (caught.value.code, caught.value.field) == (code, field)
    assert engine.state.accounts.entries() == ENTRIES


def test_no_more_accounts_than_there_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    if GUARD_FORM == "compiled":
        pytest.skip("a constant of a compiled module stays")
    engine = LoggedEngine(config())
    monkeypatch.setattr(accounts, "ACCOUNTS_MAX", 2)
    monkeypatch.setattr("guard.admin.account_actions.ACCOUNTS_MAX", 2)
    with pytest.raises(AdminError, match="2 accounts are there"):
        plan(engine.state, set_account("ACC-3", "desk-beta"), actor())
    with pytest.raises(InvariantError, match="one more than 2"):
        engine.state.accounts.put("ACC-3", "desk-beta", "")


def test_a_log_whose_accounts_cannot_be() -> None:
    state = LoggedEngine(config()).state
    for account, desk in (("ACC-1", "desk-beta"), ("ACC-9", "nix")):
        event = actor().event(AccountSet, account=account, desk=desk)
        engine = LoggedEngine(config())
        with pytest.raises(InvariantError):
            engine.log(event)
    found = Accounts()
    with pytest.raises(InvariantError, match="stands twice"):
        found.load([ENTRIES[0], ENTRIES[0]], state.desks)
    with pytest.raises(InvariantError, match="of no desk"):
        Accounts().load([("ACC-1", "nix", "")], state.desks)


def test_accounts_are_listed_page_by_page() -> None:
    state = LoggedEngine(config()).state
    page = answer(state, asked.ListAccounts(limit=1), T0)
    assert [line.account for line in page.accounts] == ["ACC-1"]
    assert page.next_after == "ACC-1"
    page = answer(state, asked.ListAccounts(after="ACC-1"), T0)
    assert [(line.account, line.customer) for line in page.accounts] == [("ACC-2", "")]
    assert page.next_after is None
    assert answer(state, asked.ListAccounts(desk="desk-beta"), T0).accounts == []


def test_a_log_begins_with_its_accounts() -> None:
    events = list(opening_events(config(), actor(), LOG_ID, "key-id"))
    assert events[0].opening_records == len(events)
    found = [event for event in events if isinstance(event, AccountSet)]
    assert [(one.account, one.desk, one.customer or "") for one in found] == ENTRIES


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ('[accounts.A]\ndesk = "nix"\n', "accounts.A.desk: there is no desk 'nix'; allowed: desk-"),
        ("[accounts.A]\n", "missing"),
        ('[accounts.A]\ndesk = "desk-alpha"\ncustomer = ""\n', "accounts"),
        ('[accounts."a b"]\ndesk = "desk-alpha"\n', "accounts"),
        ('[accounts.A]\ndesk = "desk-alpha"\nx = 1\n', "x"),
    ],
)
def test_a_section_that_cannot_be(text: str, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        config(text)


def test_where_log_and_configuration_differ() -> None:
    state = LoggedEngine(config()).state
    text = '[accounts.ACC-1]\ndesk = "desk-alpha"\n[accounts.ACC-3]\ndesk = "desk-beta"\n'
    found = find_differences(state, config(text), actor())
    assert [(one.text, one.place) for one in found] == [
        (
            "accounts.ACC-1.customer: the log says ACME, the configuration none",
            "accounts.ACC-1",
        ),
        ("accounts.ACC-3: the log lacks it, the configuration adds it", "accounts.ACC-3"),
        ("accounts.ACC-2: the log has it, the configuration lacks it", "accounts.ACC-2"),
    ]
    assert [one.event is None for one in found] == [False, False, True]
    moved = '[accounts.ACC-1]\ndesk = "desk-beta"\n[accounts.ACC-2]\ndesk = "desk-alpha"\n'
    (found_one,) = find_differences(state, config(moved), actor())
    assert found_one.event is None
    assert found_one.text.endswith("an account's desk never changes")
    assert find_differences(state, config(), actor()) == []
    said = said_by(config())
    assert said["accounts.ACC-1"] == "desk-alpha ACME"
    assert config().accounts["ACC-2"] == AccountTerms("ACC-2", "desk-alpha")


def test_an_override_is_of_an_order_with_those_names() -> None:
    plain = order_digest_hex(fields_of(order("A-1"), T0))
    digests = {
        order_digest_hex(fields_of(order("A-1", **{name: "x"}), T0))
        for name in ("account", "trader", "algo", "locate_id")
    }
    assert len(digests | {plain}) == 5


def test_what_is_said_of_a_reject() -> None:
    account = {"desk": "d", "request": {"account": "ACC-9"}, "answer": {"type": "reject"}}
    for reason, words in (
        ("account_missing", "desk d has accounts, and it names none"),
        ("account_unknown", "desk d has no account ACC-9"),
    ):
        account["answer"] = {"type": "reject", "reason": reason}
        assert words in sentence_of(account, "USD")


# Planted bugs: each shows, live and in replay.


def played() -> list[bytes]:
    day = LoggedEngine(config())
    day.submit(order("A-1"))
    day.submit(order("A-2", account="ACC-9"))
    day.submit(order("A-3", account="ACC-1"))
    day.submit(order("B-1", desk="desk-beta", quantity=1, account="ACC-2"))
    day.submit(Replace("A-4", "desk-alpha", "A-3", 200, 19_000, "limit", "day"))
    return day.records


RECORDS = played()
REAL_COMPLETE = replacing.complete


def _of_nobody(state: Any, request: Any) -> int:
    row = REAL_COMPLETE(state, request)
    request.account_bytes = 0
    return row


BUGS: dict[str, tuple[Any, str, Any]] = {
    "no account will do": (order_checks, "account_missing", lambda *_: False),
    "any account will do": (order_checks, "account_unknown", lambda *_: False),
    "another desk's will do": (
        order_checks,
        "account_unknown",
        lambda _state, request, _outcome, found: request.account != "" and found.account is None,
    ),
    "a replace has no names": (replacing, "complete", _of_nobody),
}


@pytest.mark.skipif(GUARD_FORM == "compiled", reason="what is compiled calls itself")
@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_found(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write_log(tmp_path, RECORDS)
    assert replay_log(tmp_path, HASHER).engine.next_sequence == len(RECORDS) + 1
    module, attribute, bug = BUGS[name]
    if module is order_checks:
        from guard.engine import checks

        (row,) = [
            row
            for row in checks.CHECKS_BEHIND_KERNEL
            if row.function is getattr(order_checks, attribute)  # type: ignore[attr-defined]
        ]
        monkeypatch.setattr(row, "function", bug)
    else:
        monkeypatch.setattr(module, attribute, bug)
    assert played() != RECORDS, "played with it, the day is the same"
    with pytest.raises((ReplayMismatch, InvariantError)):
        replay_log(tmp_path, HASHER)
