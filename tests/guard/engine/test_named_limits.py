"""Limits of customers, accounts, traders and algorithms: of what an order may be, and its rates.

Every order goes through the bytes of its record; each test's log is replayed, folded, and its
state taken through a checkpoint, which must have used as much of every rate (`engines`).
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from guard import GUARD_FORM
from guard.admin import messages as asked
from guard.admin.actions import plan
from guard.admin.messages import AdminError
from guard.cli import main
from guard.config.activation import limits_event
from guard.config.errors import ConfigError
from guard.config.file import Config
from guard.config.limits import effective_lines, tree_differences
from guard.engine import limit_checks, limits
from guard.engine.account_events import AccountSet
from guard.engine.limit_lines import limit_lines
from guard.engine.limits import Limits
from guard.engine.loosening import limit_loosenings
from guard.engine.state import GuardState
from guard.protocol.limits import NAMED_SCOPES, LimitScope, name_key, normalized
from guard.protocol.messages import U32_MAX, Admit, Reject, Replace
from guard.recovery.checkpoint_payload import state_digest_hex
from guard.replay.replay import ReplayMismatch, replay_log
from guard_limits_support import WAIVED, limit_detail, verdict
from guard_support import (
    DEV_CONFIG_TEXT,
    KEY,
    ORDER_NOTIONAL,
    T0,
    LoggedEngine,
    actor,
    dev_config,
    order,
    write_log,
)
from kernel import InvariantError
from log_checks_support import check_states, checked_at_end
from replace_support import replaced
from wal import ChainHasher

HASHER = ChainHasher(KEY)
ACCOUNTS = '[accounts.one]\ndesk = "desk-alpha"\n[accounts.two]\ndesk = "desk-alpha"\n' + "".join(
    f'[accounts.of-{name}]\ndesk = "desk-alpha"\ncustomer = "{name}"\n' for name in ("one", "two")
)
KINDS = tuple(NAMED_SCOPES)
MS = 1_000_000
MARK = {"AAPL": (19_000, 1)}


def config(text: str, firm: str = WAIVED) -> Config:
    return dev_config(("[settings]", f"{ACCOUNTS}\n[limits]\n{firm}\n{text}\n[settings]"))


def used(state: GuardState) -> Any:
    return {name: bucket.dump() for name, bucket in state.limits.buckets.items()}


def shown(state: GuardState) -> Any:
    return state_digest_hex(state), used(state)


@pytest.fixture
def engines(tmp_path: Path) -> Iterator[list[LoggedEngine]]:
    """Those that a test puts here are checked at its end."""
    yield from checked_at_end(tmp_path, partial(check_states, shown=shown))


def begun(engines: list[LoggedEngine], text: str, firm: str = WAIVED) -> LoggedEngine:
    engine = LoggedEngine(config(text, firm))
    engine.marks = MARK
    engines.append(engine)
    return engine


def of(kind: str, name: str = "one", **changes: Any) -> dict[str, Any]:
    """The fields of an order of that name; its account is another one where that is not it."""
    if kind == "customer":
        return {"account": f"of-{name}", **changes}
    return {"account": "two", kind: name, **changes}


@pytest.mark.parametrize("kind", KINDS)
def test_a_bound_at_below_and_above(engines: list[LoggedEngine], kind: str) -> None:
    text = f"[limits.{kind}.one]\nquantity_min = 10\nquantity_max = 50\nquantity_step = 5\n"
    engine = begun(engines, text + 'value_max = "9500.00"\nprice_step = 5\n')
    scope = int(NAMED_SCOPES[kind])
    for quantity, wanted in (
        (5, ("quantity_below_min", limit_detail(5, 10, 0, scope))),
        (10, "admitted"),
        (50, "admitted"),
        (55, ("quantity_above_max", limit_detail(55, 50, 0, scope))),
        (U32_MAX, ("quantity_above_max", limit_detail(U32_MAX, 50, 0, scope))),
        (12, ("quantity_off_step", limit_detail(12, 5, 2, scope))),
    ):
        price = 1 if quantity == U32_MAX else 19_000
        assert verdict(engine, **of(kind, quantity=quantity, price=price)) == wanted
    for price, wanted in (
        (19_000, "admitted"),
        (19_005, ("value_above_max", limit_detail(950_250_000_000, 950_000_000_000, 0, scope))),
        (18_999, ("price_off_step", limit_detail(18_999, 5, 4, scope))),
    ):
        assert verdict(engine, **of(kind, quantity=50, price=price)) == wanted
    # Another one's, nobody's, and after a restart.
    assert verdict(engine, **of(kind, "two", quantity=55)) == "admitted"
    assert verdict(engine, account="two", quantity=55) == "admitted"
    engine.restart()
    assert verdict(engine, **of(kind, quantity=55))[0] == "quantity_above_max"


@pytest.mark.parametrize("kind", KINDS)
def test_what_may_be_traded_and_how(engines: list[LoggedEngine], kind: str) -> None:
    text = f"[limits.{kind}.one]\n"
    text += 'sides = ["buy"]\ntimes_in_force = ["day"]\norder_types = ["limit"]\nvenues = [10]\n'
    engine = begun(engines, f'{text}restricted_symbols = ["BTC-USD"]\n')
    scope = {"scope": int(NAMED_SCOPES[kind])}
    for changes, reason, detail in (
        ({"side": "sell"}, "side_not_allowed", {}),
        ({"time_in_force": "ioc"}, "time_in_force_not_allowed", {}),
        ({"order_type": "market"}, "order_type_not_allowed", {}),
        ({"venue": 20}, "venue_not_allowed", {"asked": 20}),
        ({"symbol": "BTC-USD"}, "symbol_restricted", {}),
    ):
        assert verdict(engine, **of(kind, **changes)) == (reason, {**detail, **scope})
    assert verdict(engine, **of(kind)) == "admitted"
    assert verdict(engine, **of(kind, "two", side="sell", time_in_force="ioc")) == "admitted"
    other = begun(engines, f'[limits.{kind}.one]\nsymbols = ["BTC-USD"]\n')
    assert verdict(other, **of(kind)) == ("symbol_not_allowed", scope)


@pytest.mark.parametrize("kind", KINDS)
def test_a_collar(engines: list[LoggedEngine], kind: str) -> None:
    text = f"[limits.{kind}.one]\nprice_collar_bps = 100\nreference_age_max_ms = 1\n"
    engine = begun(engines, text)
    scope = int(NAMED_SCOPES[kind])
    outside = ("price_outside_collar", limit_detail(19_191, 100, 19_000, scope))
    assert verdict(engine, **of(kind, price=19_190)) == "admitted"
    assert verdict(engine, **of(kind, price=19_191)) == outside
    assert verdict(engine, **of(kind, "two", price=150_000, quantity=1)) == "admitted"
    engine.marks = {"AAPL": (19_000, MS)}
    assert verdict(engine, **of(kind)) == "admitted"
    engine.marks = {"AAPL": (19_000, MS + 1)}
    assert verdict(engine, **of(kind)) == ("reference_stale", limit_detail(2, 1, 0, scope))
    engine.marks = {}
    assert verdict(engine, **of(kind)) == ("reference_missing", {"scope": scope})
    assert verdict(engine, **of(kind, "two")) == "admitted"


def test_the_strictest_counts_and_of_equal_ones_the_widest_is_named(
    engines: list[LoggedEngine],
) -> None:
    firm = 'quantity_max = 50\nvalue_max = "none"\nprice_collar_bps = "none"\n'
    text = "".join(
        f"[limits.{kind}.one]\nquantity_max = {most}\n"
        for kind, most in zip(KINDS, (45, 50, 40, 30), strict=True)
    )
    engine = begun(engines, text, firm)
    for names, limit, scope in (
        ({"account": "of-one"}, 45, 8),
        ({"account": "of-one", "trader": "one"}, 40, 6),
        ({"account": "of-two"}, 50, 1),
        ({"account": "one"}, 50, 1),
        ({"account": "one", "trader": "one"}, 40, 6),
        ({"account": "one", "trader": "one", "algo": "one"}, 30, 7),
        ({"account": "two", "algo": "one"}, 30, 7),
        ({"account": "two", "trader": "two", "algo": "two"}, 50, 1),
    ):
        wanted = ("quantity_above_max", limit_detail(limit + 1, limit, 0, scope))
        assert verdict(engine, **names, quantity=limit + 1) == wanted
        assert verdict(engine, **names, quantity=limit) == "admitted"


@pytest.mark.parametrize("kind", KINDS)
def test_a_rate_of_orders(engines: list[LoggedEngine], kind: str) -> None:
    text = f'[limits.{kind}.one]\nrates = [{{kind = "orders", window_ms = 1000, max = 2}}]\n'
    engine = begun(engines, text)
    scope = int(NAMED_SCOPES[kind])
    for at_ns in (T0, T0 + MS):
        assert verdict(engine, at_ns, **of(kind)) == "admitted"
    # What others use of it is told of the account alone, which is its desk's own.
    shown = 2 if kind == "account" else 0
    wanted = ("order_rate_exceeded", limit_detail(1, 2, shown, scope))
    assert verdict(engine, T0 + 2 * MS, **of(kind)) == wanted
    assert verdict(engine, T0 + 2 * MS, **of(kind, "two")) == "admitted"
    if kind != "account":  # of whichever desk
        engine.log(actor().event(AccountSet, account="b", desk="desk-beta", customer="one"))
        beta: dict[str, Any] = of(kind) | {"desk": "desk-beta", "account": "b", "quantity": 1}
        assert verdict(engine, T0 + 2 * MS, **beta) == wanted
    engine.restart()
    assert verdict(engine, T0 + 3 * MS, **of(kind)) == wanted
    # A rejected order uses nothing; behind the window there is room.
    assert verdict(engine, T0 + 2_000 * MS, **of(kind)) == "admitted"


@pytest.mark.parametrize("kind", KINDS)
def test_rates_of_notional_and_replaces(engines: list[LoggedEngine], kind: str) -> None:
    text = f"[limits.{kind}.one]\nrates = ["
    text += '{kind = "notional", window_ms = 60000, max = "38000.00"},'
    text += '{kind = "replaces", window_ms = 60000, max = 1}]\n'
    engine = begun(engines, text)
    scope = int(NAMED_SCOPES[kind])
    engine.admit(order("A-1", **of(kind)))
    assert verdict(engine, **of(kind, quantity=101))[0] == "notional_rate_exceeded"
    less = Replace("A-2", "desk-alpha", "A-1", 150, 19_000, "limit", "day")
    assert isinstance(engine.submit(less), Admit)  # half of what is left
    more, most = ORDER_NOTIONAL // 2, 2 * ORDER_NOTIONAL
    shown = most - more if kind == "account" else 0
    found = verdict(engine, **of(kind, quantity=51))
    asked_for = 51 * ORDER_NOTIONAL // 100
    wanted = ("notional_rate_exceeded", limit_detail(asked_for, most, shown, scope))
    assert found == wanted
    assert verdict(engine, **of(kind, quantity=50)) == "admitted"
    # Another one's replace uses nothing of it; a second one of its own is one too many.
    engine.admit(order("B-1", **of(kind, "two")))
    other = Replace("B-2", "desk-alpha", "B-1", 101, 19_000, "limit", "day")
    assert isinstance(engine.submit(other), Admit)
    engine.submit(replaced("A-2"))
    again = engine.submit(Replace("A-3", "desk-alpha", "A-2", 151, 19_000, "limit", "day"))
    assert isinstance(again, Reject)
    assert again.reason == "replace_rate_exceeded"
    assert again.detail == limit_detail(1, 1, 1 if kind == "account" else 0, scope)


def test_another_tree_keeps_what_is_used(engines: list[LoggedEngine]) -> None:
    text = '[limits.trader.one]\nrates = [{kind = "orders", window_ms = 60000, max = 2}]\n'
    engine = begun(engines, text)
    assert verdict(engine, **of("trader")) == "admitted"
    engine.log(limits_event(config(text.replace("max = 2", "max = 1")).limits, actor()))
    assert verdict(engine, **of("trader"))[0] == "order_rate_exceeded"
    engine.log(limits_event(config(text).limits, actor()))
    assert verdict(engine, **of("trader")) == "admitted"
    assert verdict(engine, **of("trader"))[0] == "order_rate_exceeded"
    engine.log(limits_event(config("").limits, actor()))
    assert verdict(engine, **of("trader")) == "admitted"


def test_what_is_worked_out_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    if GUARD_FORM == "compiled":
        pytest.skip("a constant of a compiled module stays")
    text = "".join(f"[limits.trader.t{n}]\nquantity_max = {n + 1}\n" for n in range(5))
    engine = LoggedEngine(config(text))
    monkeypatch.setattr(limits, "NAMED_KEPT_MAX", 2)
    for _ in range(2):
        for n in range(5):
            found = verdict(engine, **of("trader", f"t{n}", quantity=n + 2))
            assert found == ("quantity_above_max", limit_detail(n + 2, n + 1, 0, 6))
            assert len(engine.state.limits._named) <= 2


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("[limits.account.nix]\nquantity_max = 1\n", "no account 'nix'; allowed: of-one, of-two"),
        (
            "[limits.customer.nix]\nquantity_max = 1\n",
            "limits.customer.nix: no account is of customer 'nix'; allowed: one, two",
        ),
        ("[limits.customer.one]\nopen_orders_max = 1\n", "limits.customer.one.open_orders_max: 1"),
        ("[limits.trader.one]\nopen_orders_max = 1\n", "limits.trader.one.open_orders_max: 1"),
        ("[limits.algo.one]\nposition_long_max = 1\n", "limits.algo.one.position_long_max: 1"),
        ('[limits.account.one]\nself_match = "flag"\n', "limits.account.one.self_match: flag"),
        ("[limits.account.one]\nduplicate_window_ms = 1\n", "duplicate_window_ms: 1"),
        ("[limits.account.one]\ndrop_copy_venues = [10]\n", "drop_copy_venues"),
        ("[limits.trader.one]\nwarn_percent = 5\n", "limits.trader.one.warn_percent: 5"),
        (
            '[limits.trader.one]\nrates = [{kind = "cancels", window_ms = 1, max = 1}]\n',
            "limits.trader.one.rates: cancels is not allowed; allowed: orders, replaces, notional",
        ),
        ("[limits.trader.one]\nprice_collar_bps = 5\n", "beside reference_age_max_ms"),
        ("[limits.trader.one]\nvenues = [99]\n", "the policy has no venue 99"),
        ('[limits.trader.one]\nsymbols = ["nix"]\n', "no symbol 'nix'"),
        ("[limits.trader.one]\nquantity_min = 5\nquantity_max = 4\n", "limits.trader.one"),
        ("[limits.trader.one.symbol.AAPL]\nquantity_max = 4\n", "symbol"),
        ('[limits.trader."a b"]\nquantity_max = 4\n', "trader"),
    ],
)
def test_a_section_that_cannot_be(text: str, word: str) -> None:
    with pytest.raises(ConfigError, match=word.replace("[", "\\[")):
        config(text)


def test_what_no_order_can_meet_beside_the_firms() -> None:
    firm = 'quantity_max = 5\nvalue_max = "none"\nprice_collar_bps = "none"\n'
    with pytest.raises(ConfigError, match=r"limits\.algo\.one\.quantity_min: 6 is above"):
        config("[limits.algo.one]\nquantity_min = 6\n", firm)


def test_what_must_be_said_is_said_of_desks_and_symbols() -> None:
    text = '[limits.account.one]\nquantity_max = 5\nvalue_max = "none"\n'
    with pytest.raises(ConfigError, match="quantity_max: desk desk-alpha, symbol AAPL"):
        config(text, 'value_max = "none"\nprice_collar_bps = "none"\n')


def test_a_scope_names_one_thing() -> None:
    for scope in (
        LimitScope(account="one", trader="one", quantity_max=1),
        LimitScope("desk-alpha", account="one", quantity_max=1),
        LimitScope("", "AAPL", algo="one", quantity_max=1),
        LimitScope(account="one", customer="one", quantity_max=1),
    ):
        with pytest.raises(ValueError, match="names something else, too"):
            normalized([scope])
    with pytest.raises(ValueError, match=r"limits\.algo\.one: stands twice"):
        normalized([LimitScope(algo="one", quantity_max=1)] * 2)
    engine = LoggedEngine(config(""))
    action = asked.SetLimits(
        limits=[*config("").limits, LimitScope(account="nix", quantity_max=1)],
        action_id="x",
        why="so",
    )
    with pytest.raises(AdminError, match="no account 'nix'"):
        plan(engine.state, action, actor())
    action.limits[-1] = LimitScope(customer="nix", quantity_max=1)
    with pytest.raises(AdminError, match="no account is of customer 'nix'"):
        plan(engine.state, action, actor())


def test_a_tree_without_names_is_written_as_it_was() -> None:
    text = msgspec.json.encode(config("").limits)
    assert text.startswith(b'[{"desk":"","symbol":"","quantity_max":null,')
    for kind in KINDS:
        assert kind.encode() not in text


def test_it_is_shown_where_each_comes_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "[limits.account.one]\nquantity_max = 5\n[limits.trader.t]\nvenues = [10]\n"
    text += '[limits.algo.x]\nrates = [{kind = "orders", window_ms = 5, max = 2}]\n'
    text += "[limits.customer.one]\nquantity_max = 4\n"
    tree = config(text).limits
    plain = effective_lines(tree, "desk-alpha", "AAPL")
    assert ("quantity_max", "none", "limits") in plain
    assert not any(place != "limits" for _, _, place in plain)
    named = effective_lines(tree, "desk-alpha", "AAPL", account="one", trader="t", algo="x")
    assert ("quantity_max", "5 lots", "limits.account.one") in named
    assert ("venues", "10", "limits.trader.t") in named
    assert ("rates", "2 orders in 5 ms", "limits.algo.x") in named
    assert effective_lines(tree, "desk-alpha", "AAPL", trader="nobody") == plain
    written = DEV_CONFIG_TEXT.replace(
        "[settings]", f"{ACCOUNTS}\n[limits]\n{WAIVED}\n{text}\n[settings]"
    )
    path = tmp_path / "c.toml"
    path.write_text(written)
    asking = ["check-config", "--config", str(path), "--limits", "desk-alpha", "AAPL"]
    assert main([*asking, "--account", "one", "--algo", "x"]) == 0
    out = capsys.readouterr().out
    assert "limits of desk desk-alpha, account one, algo x in symbol AAPL:" in out
    assert "limits.account.one" in out
    for names, words in (
        (["--account", "of-one"], "customer one, account of-one in symbol AAPL:"),
        (["--customer", "one"], "desk-alpha, customer one in symbol AAPL:"),
    ):
        assert main([*asking, *names]) == 0
        out = capsys.readouterr().out
        assert words in out
        assert "limits.customer.one" in out
    for names, words in (
        (["--account", "of-one", "--customer", "two"], "account of-one is of one, not two"),
        (["--account", "one", "--customer", "two"], "account one is of nobody, not two"),
        (["--customer", "nix"], "desk desk-alpha has no account of customer 'nix'"),
    ):
        assert main([*asking, *names]) != 0
        assert words in capsys.readouterr().err
    assert main([*asking, "--account", "nix"]) != 0
    assert "desk desk-alpha has no account 'nix'" in capsys.readouterr().err


def test_lines_of_an_explanation_name_the_scope() -> None:
    text = "[limits.account.one]\nquantity_max = 5\n"
    text += '[limits.trader.t]\nrates = [{kind = "orders", window_ms = 60000, max = 2}]\n'
    engine = LoggedEngine(config(text))
    engine.admit(order("A-1", account="one", trader="t", quantity=5))
    names = [name_key("account", "one"), name_key("trader", "t")]
    lines = limit_lines(engine.state, "desk-alpha", "AAPL", names)
    found = {(line["limit"], line["scope"]): line for line in lines}
    assert found["quantity_max", "account"]["value"] == 5
    rate = found["rate of orders in 60000 ms", "trader"]
    assert (rate["used"], rate["is_own"]) == (1, False)
    plain = limit_lines(engine.state, "desk-alpha", "AAPL")
    assert {line["scope"] for line in plain} == {"firm"}


def test_what_differs_and_what_loosens() -> None:
    before = config("[limits.account.one]\nquantity_max = 5\n").limits
    after = config(
        "[limits.account.one]\nquantity_max = 6\n[limits.algo.x]\nvenues = [10]\n"
    ).limits
    assert tree_differences(before, after) == [
        "limits.account.one.quantity_max: 5 -> 6",
        "limits.algo.x.venues: unsaid -> 10",
    ]
    assert tree_differences(after, before)[1] == "limits.algo.x.venues: 10 -> unsaid"
    assert limit_loosenings(before, after, []) == ["limits.account.one.quantity_max"]
    assert limit_loosenings(after, before, []) == ["limits.algo.x.venues"]
    ceiling = [LimitScope(account="one", quantity_max=6)]
    assert limit_loosenings(before, after, ceiling) == []
    none: list[LimitScope] = config("").limits
    assert limit_loosenings(before, none, ceiling) == ["limits.account.one.quantity_max"]


# Planted bugs: each shows, live and in replay.
DAY = """
[limits.account.one]
quantity_max = 50
[limits.trader.one]
rates = [{kind = "orders", window_ms = 60000, max = 2}]
[limits.algo.one]
venues = [10]
[limits.customer.one]
quantity_max = 60
"""


def played() -> list[bytes]:
    day = LoggedEngine(config(DAY))
    for names in (
        {"account": "one"}, {"account": "one", "quantity": 50}, of("trader"), of("trader"),
        of("trader"), of("algo", venue=20), of("algo"), of("algo", "two", venue=20),
        of("trader", "two"), of("customer"), of("customer", quantity=61),
    ):  # fmt: skip
        verdict(day, **names)
    return day.records


RECORDS = played()
REAL_RESOLVE = Limits._resolve


def _forgets(kind: str) -> Any:
    def resolve(self: Limits, desk: str, symbol: str, named: Any = ()) -> Any:
        left = [key for key in named if not key[0].startswith(f"{kind}=")]
        return REAL_RESOLVE(self, desk, symbol, left)

    return resolve


def _takes_nothing(state: Any, request: Any, outcome: Any, effective: Any) -> int:
    plain = state.limits.effective(0, 0)
    return REAL_NOTE(state, request, outcome, plain)


REAL_NOTE = limit_checks.note_admitted
BUGS: dict[str, tuple[Any, str, Any]] = {
    **{f"limits of {kind}s do not count": (Limits, "_resolve", _forgets(kind)) for kind in KINDS},
    "what they name does not count": (
        Limits, "of_order", lambda self, desk, symbol, *_of: self.effective(desk, symbol),
    ),
    "an admitted order uses nothing of it": (limit_checks, "note_admitted", _takes_nothing),
}  # fmt: skip


@pytest.mark.skipif(GUARD_FORM == "compiled", reason="what is compiled calls itself")
@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_found(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write_log(tmp_path, RECORDS)
    assert replay_log(tmp_path, HASHER).engine.next_sequence == len(RECORDS) + 1
    monkeypatch.setattr(*BUGS[name])
    assert played() != RECORDS, "played with it, the day is the same"
    with pytest.raises((ReplayMismatch, InvariantError)):
        replay_log(tmp_path, HASHER)
