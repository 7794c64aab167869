"""The coverage page (`guard/LIMITS.md`): which control of which rule book is which check. Pure.

Owns the clauses of SEC rule 15c3-5 (b) to (e), of articles 12 to 18 of Commission Delegated
Regulation (EU) 2017/589 (RTS 6) and the controls of FIA's "Best Practices for Automated Trading
Risk Controls" (July 2024, by their names), and for each either the reasons by which the guard
refuses, a place in the documentation, or a word that it is out of scope. All else of the page comes
from the table of checks (`guard.engine.checks`): a row that is added there stands in it by itself.

    python tests/coverage_support.py
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from guard.audit.words import reason_words
from guard.engine.checks import CHECKS_BEFORE_KERNEL, CHECKS_BEHIND_KERNEL, Check
from guard.protocol.fields import REASON_WORDS


class Clause(NamedTuple):
    """A clause, what it asks for, the reasons that refuse for it, and what else there is to say."""

    place: str
    asks: str
    reasons: tuple[str, ...]
    also: str = ""


_SIZES = ("quantity_above_max", "value_above_max", "quantity_out_of_range", "overflow")
_PRICES = (
    "price_outside_collar", "reference_missing", "reference_stale", "reference_unconfirmed",
)  # fmt: skip
_RATES = ("order_rate_exceeded", "replace_rate_exceeded", "notional_rate_exceeded")
_POSITIONS = ("position_long_above_max", "position_short_above_max")
_EXITS = "exit_beyond_position"
_EXPOSURES = (
    "exposure_gross_above_max", "exposure_net_above_max", "exposure_long_above_max",
    "exposure_short_above_max", "concentration_above_max",
)  # fmt: skip
_LOSSES = ("day_loss_above_max",)
_HALTS = (
    "firm_halted", "customer_halted", "desk_halted", "account_halted", "trader_halted",
    "algo_halted",
    "symbol_halted",
)  # fmt: skip
_SHORT = ("short_sale_not_allowed", "locate_missing", "locate_unknown", "locate_exceeded")
_CREDIT = ("exposure_limit_exceeded", "insufficient", "desk_halted")
_WHO = ("unknown_desk", "account_missing", "account_unknown")
_WHAT = (
    "symbol_restricted", "symbol_not_allowed", "side_not_allowed", "venue_not_allowed",
    "order_type_not_allowed", "time_in_force_not_allowed",
)  # fmt: skip

CLAUSES: Final = (
    Clause("15c3-5 (b)", "controls and procedures, documented and kept", (),
           "each limit is a record with who and why; `wal/FORMAT.md`"),
    Clause("15c3-5 (c)(1)(i)", "orders beyond credit or capital thresholds, set beforehand",
           (*_CREDIT, "overflow", "limit_unsaid", *_POSITIONS, *_EXPOSURES,
            "open_orders_above_max", *_LOSSES, _EXITS)),
    Clause("15c3-5 (c)(1)(ii)", "erroneous orders: price or size parameters, one by one or over "
           "a short time, duplicates",
           (*_SIZES, "quantity_below_min", "quantity_off_step", "price_off_step",
            "value_below_min", *_PRICES, *_RATES, "duplicate_order")),
    Clause("15c3-5 (c)(2)(i)", "regulatory requirements before entry",
           (*_WHAT, *_HALTS, "self_match", *_SHORT)),
    Clause("15c3-5 (c)(2)(ii)", "securities that the desk may not trade",
           ("symbol_restricted", "symbol_not_allowed", "unknown_symbol")),
    Clause("15c3-5 (c)(2)(iii)", "access of persons that were approved", _WHO,
           "keys and grants of clients, PROTOCOL 13"),
    Clause("15c3-5 (c)(2)(iv)", "surveillance receives executions at once", (),
           "the feed and `tail`"),
    Clause("15c3-5 (d)", "under the direct and exclusive control of the firm", (),
           "the admin endpoint and its roles, ADMIN 1"),
    Clause("15c3-5 (e)", "regular review, certified", (),
           "`replay`, `report`, this page; the certificate is a person's, out of scope"),
    Clause("RTS 6 12", "kill functionality", _HALTS,
           "what is open is canceled by clients, who say so by `cancel_all`, PROTOCOL 5.3"),
    Clause("RTS 6 13", "automated surveillance for market manipulation", (), "out of scope"),
    Clause("RTS 6 14", "business continuity", (), "`guard/RUNBOOK.md`"),
    Clause("RTS 6 15(1)(a)", "price collars", _PRICES),
    Clause("RTS 6 15(1)(b)", "maximum order value", ("value_above_max",)),
    Clause("RTS 6 15(1)(c)", "maximum order volume", ("quantity_above_max",)),
    Clause("RTS 6 15(1)(d)", "maximum messages", ("order_rate_exceeded", "replace_rate_exceeded")),
    Clause("RTS 6 15(2)", "all orders in the calculation at once",
           ("exposure_limit_exceeded", *_EXPOSURES)),
    Clause("RTS 6 15(3)", "repeated automated execution throttles",
           ("order_rate_exceeded", "desk_symbol_reducing"),
           "a rate of `executions` latches, PROTOCOL 3.5 and 12"),
    Clause("RTS 6 15(4)", "market and credit risk limits",
           (*_CREDIT, *_POSITIONS, *_EXPOSURES, "open_orders_above_max", *_LOSSES)),
    Clause("RTS 6 15(5)", "trader, desk and instrument without permission are blocked",
           (*_WHO, *_WHAT)),
    Clause("RTS 6 15(6)", "overrides only for one order, by people", (),
           "`override`, two people, ADMIN 2"),
    Clause("RTS 6 16", "real-time monitoring", (), "`top`, `status`, metrics and their alerts"),
    Clause("RTS 6 17", "post-trade controls", (), "`replay`, `report`, `prove`"),
    Clause("RTS 6 18", "security and limits to access", (),
           "CURVE, clients and grants, PROTOCOL 13"),
    Clause("FIA maximum order size", "in quantity and value",
           ("quantity_above_max", "value_above_max")),
    Clause("FIA maximum intraday position", "in each instrument", _POSITIONS,
           "of each desk; of the firm and of a symbol as a whole by exposure, in money"),
    Clause("FIA price tolerance", "limits beside a reference", _PRICES),
    Clause("FIA kill switch", "stops entries at once", _HALTS),
    Clause("FIA message throttles", "orders within a time", _RATES),
    Clause("FIA repeated execution and duplicates", "the same again",
           ("duplicate_order", "order_rate_exceeded", "desk_symbol_reducing")),
    Clause("FIA self-match prevention", "no trade with an own order", ("self_match",),
           "before the order goes out, over all desks; exits are flagged"),
    Clause("FIA cancel on disconnect", "of the venue's session", (),
           "out of scope: the guard sends nothing to venues"),
    Clause("FIA drop copy and records", "every decision kept, executions reconciled", (),
           "`wal/FORMAT.md`; PROTOCOL 14"),
)  # fmt: skip

_HEAD: Final = """# Which control is which check

Made by `python tests/coverage_support.py` from the table of checks (`guard/engine/checks.py`); a
test holds the two together. PROTOCOL 3.3 says what each reason's detail is, PROTOCOL 3.5 what a
limit means, and `configs/production.toml` explains each key.

## By clause

| clause | asks for | reasons | beside them |
|---|---|---|---|
"""
_CHECKS_HEAD: Final = """
## By check, in the order in which they are looked at

*Spares exits*: an order that only reduces a position is not held to it. The tests of each are
`tests/guard/engine/test_limit_checks.py` where there is a key (of positions and open orders
`test_position_checks.py`, of exposure `test_exposure_checks.py`, of losses
`test_loss_limits.py`, `test_self_match.py`, `test_short_sales.py`), `test_decide_entry.py` and
`test_entry_bounds.py` beside it else; of replaces `test_replacing.py`, `test_replace_limits.py`.

| number | reason | what it is | looks at | key | since rules | spares exits | clauses |
|---|---|---|---|---|---|---|---|
"""


def clauses_of(word: str) -> list[str]:
    """The clauses for which a reason refuses."""
    return [clause.place for clause in CLAUSES if word in clause.reasons]


def coverage_page() -> str:
    """The text of `guard/LIMITS.md`."""
    return "".join(_lines())


def _lines() -> Iterator[str]:
    yield _HEAD
    for clause in CLAUSES:
        reasons = ", ".join(f"`{word}`" for word in clause.reasons)
        yield f"| {clause.place} | {clause.asks} | {reasons} | {clause.also} |\n"
    yield _CHECKS_HEAD
    for check in (*CHECKS_BEFORE_KERNEL, *CHECKS_BEHIND_KERNEL):
        if check.number:
            yield _row(check)


def _row(check: Check) -> str:
    word = REASON_WORDS[check.number]
    key = f"`{check.key}`" if check.key else ""
    exits = "yes" if check.spares_exits else ""
    clauses = ", ".join(clauses_of(word))
    return (
        f"| {check.number} | `{word}` | {reason_words(word)} | {check.scope} | {key} | "
        f"{check.since_version} | {exits} | {clauses} |\n"
    )
