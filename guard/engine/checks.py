# cython: annotation_typing=False, nonecheck=True
"""What may stand in an order's way, in the order in which it is looked at. Pure; changes nothing.

Owns the table of entry checks (`guard/PROTOCOL.md`, 3.3): a rule is a row of it and a function. The
function says whether the order is refused, and puts what the reject's detail says into the outcome;
which integers those are, `guard.protocol.fields.DETAILS` says. The first refusal counts. The
functions of what kernel and ledger say stand here, the others in the modules beside it.

How a rule is added: a `Refusal` with a number of its own, a row here with the rules version from
which on it counts, its function (and the line in a `.pxd` that types it), a row in the protocol's
table, which a test holds against this one. A row is never taken away, since logs of
every version are decided again: it gets the last version in which it counts. What else of a
decision changes with a version asks `state.rules_version`.
"""

from collections.abc import Callable
from typing import Final

from guard.engine import (
    exits,
    exposure_checks,
    limit_checks,
    order_checks,
    position_checks,
    self_match,
    short_sales,
    state_checks,
)
from guard.engine.events import RULES_VERSION, RULES_VERSIONS
from guard.engine.found import Found
from guard.engine.state import GuardState
from guard.protocol import slots
from guard.protocol.fields import (
    COUNTS_DETAIL,
    COUNTS_LIMIT_DETAIL,
    GATES,
    detail_of_reason,
    stage_of_reason,
)
from guard.protocol.messages import I64_MAX
from guard.protocol.outcome import OUTCOME_NUMBERS, Outcome
from guard.protocol.reasons import Refusal
from guard.protocol.request import Request
from kernel import Action, Reason
from kernel import little_endian as le
from kernel.layout import DECISION, DECISION_ROW_BYTES

_I64_MAX = I64_MAX
_ACTION_AT, _REASON_AT, _VENUE_AT = (
    DECISION.field(name).offset for name in ("action", "reason", "selected_model_id")
)
_COUNTS_AT = DECISION_ROW_BYTES
_FIRST_GATE = slots.OUTCOME_SLOT + OUTCOME_NUMBERS.index(GATES[0])
_GATE_COUNT = len(GATES)
_REJECT, _SUBSTITUTE = int(Action.REJECT), int(Action.SUBSTITUTE)
_RISK_LIMIT, _CONFIDENCE_LIMIT = int(Reason.RISK_HARD_LIMIT), int(Reason.CONFIDENCE_HARD_LIMIT)

_LIMITS_SINCE = 3
_FIRST_VERSION, _LAST_VERSION = RULES_VERSIONS[0], RULES_VERSION

Rule = Callable[[GuardState, Request, Outcome, Found], bool]


class Check:
    """A row. `number`: the `Refusal`'s, 0 for reasons of the kernel's own.

    `bars_kernel`: the kernel cannot be asked about an order that this refuses, so that it is looked
    at also where another check has refused already. `scope`: what it looks at, for people.
    `since_version`, `until_version`: the first and the last version of the rules that has it.
    `key`: of the configuration, where the limit is said; empty where none says it.
    `spares_exits`: an order that only reduces a position passes it unasked.
    """

    def __init__(
        self,
        number: int,
        scope: str,
        bars_kernel: bool,
        since_version: int,
        until_version: int,
        key: str = "",
        spares_exits: bool = False,
    ) -> None:
        self.number = number
        self.scope = scope
        self.bars_kernel = bars_kernel
        self.stage = stage_of_reason(number)
        self.detail = detail_of_reason(number)
        self.since_version = since_version
        self.until_version = until_version
        self.key = key
        self.spares_exits = spares_exits

    def refuses(self, state: GuardState, request: Request, outcome: Outcome, found: Found) -> bool:
        """What the row's function says; the detail is then in the outcome."""
        function: Rule = self.function  # type: ignore[attr-defined]
        return function(state, request, outcome, found)


def row(
    number: int,
    scope: str,
    function: Rule,
    bars_kernel: bool = False,
    since_version: int = _FIRST_VERSION,
    until_version: int = _LAST_VERSION,
    key: str = "",
    spares_exits: bool = False,
) -> Check:
    """A row of the table, and its function, which compiled is one of C."""
    check = Check(number, scope, bars_kernel, since_version, until_version, key, spares_exits)
    check.function = function  # type: ignore[attr-defined]
    return check


def limit_row(number: int, function: Rule, key: str) -> Check:
    """A row of the limits, which are looked at since version 3 of the rules."""
    return row(number, "limits", function, False, _LIMITS_SINCE, _LAST_VERSION, key)


def sparing_row(number: int, function: Rule, key: str) -> Check:
    """The same of one that spares exits."""
    return row(number, "limits", function, False, _LIMITS_SINCE, _LAST_VERSION, key, True)


def entry_row(
    number: int, scope: str, function: Rule, since_version: int = _FIRST_VERSION
) -> Check:
    """A row that orders pass which but reduce a position."""
    return row(number, scope, function, False, since_version, _LAST_VERSION, "", True)


def kernel_rejects(state: GuardState, request: Request, outcome: Outcome, found: Found) -> bool:
    """Is no venue left? The reason is then the kernel's."""
    if outcome.output_row[_ACTION_AT] != _REJECT:
        return False
    if found.is_exit and exits.overrule(state, request):
        return False
    outcome.reason = le.load_u16(outcome.output_row, _REASON_AT)
    _take_counts(outcome)
    policy = state.policy
    assert policy is not None
    outcome.detail = COUNTS_DETAIL
    if outcome.reason == _RISK_LIMIT:
        outcome.detail = COUNTS_LIMIT_DETAIL
        outcome.asked, outcome.limit = request.risk_bps, policy.hard_risk_limit_bps
    elif outcome.reason == _CONFIDENCE_LIMIT:
        outcome.detail = COUNTS_LIMIT_DETAIL
        outcome.asked, outcome.limit = request.confidence_bps, policy.minimum_confidence_bps
    return True


def substitution_not_allowed(
    state: GuardState, request: Request, outcome: Outcome, found: Found
) -> bool:
    """Is another venue better, and may the order not go there?

    A replace stays where its order works, if that venue can take it at all.
    """
    if request.allow_substitute or outcome.output_row[_ACTION_AT] != _SUBSTITUTE:
        return False
    if (found.is_exit or found.is_replace) and exits.overrule(state, request):
        return False
    _take_counts(outcome)
    outcome.asked = request.venue
    outcome.chosen = le.load_u32(outcome.output_row, _VENUE_AT)
    return True


def _take_counts(outcome: Outcome) -> None:
    """How many venues each gate stopped."""
    for gate in range(_GATE_COUNT):
        count = le.load_u16(outcome.output_row, _COUNTS_AT + 2 * gate)
        slots.set_outcome_number(outcome, _FIRST_GATE, gate, count)


def holds_overflow(_state: GuardState, _request: Request, outcome: Outcome, found: Found) -> bool:
    """Would all holds together exceed what can be counted?"""
    line = found.line
    assert line is not None
    if not line.overflows_holds(found.asked_microcents):
        return False
    outcome.asked, outcome.limit = found.asked_microcents, _I64_MAX
    outcome.used = line.reserved
    return True


def exposure_limit_exceeded(
    _state: GuardState, _request: Request, outcome: Outcome, found: Found
) -> bool:
    """Would they exceed the desk's cap?"""
    line = found.line
    assert line is not None
    if found.asked_microcents == 0 or not line.exceeds_cap(found.asked_microcents):
        return False
    outcome.asked, outcome.limit = found.asked_microcents, line.cap
    outcome.used = line.reserved
    return True


def insufficient(_state: GuardState, _request: Request, outcome: Outcome, found: Found) -> bool:
    """Is less than the notional left of the budget?"""
    line = found.line
    assert line is not None
    if found.asked_microcents == 0 or line.can_hold(found.asked_microcents):
        return False
    outcome.asked, outcome.limit = found.asked_microcents, line.initial
    outcome.used = line.initial - line.remaining
    return True


# The kernel is asked behind the first of these, whatever they say, where it can be.
CHECKS_BEFORE_KERNEL: Final = [
    row(Refusal.STALE_ORDER, "order", order_checks.stale_order),
    row(Refusal.IDEMPOTENCY_WINDOW_FULL, "desk", order_checks.window_full),
    row(Refusal.UNKNOWN_DESK, "desk", order_checks.unknown_desk, True),
    row(Refusal.UNKNOWN_SYMBOL, "symbol", order_checks.unknown_symbol, True),
    row(Refusal.QUANTITY_OUT_OF_RANGE, "order", order_checks.quantity_out_of_range, True),
    row(Refusal.OVERFLOW, "order", order_checks.notional_overflow, True),
]
CHECKS_BEHIND_KERNEL: Final = [
    row(Refusal.ACCOUNT_MISSING, "account", order_checks.account_missing, False, 3),
    row(Refusal.ACCOUNT_UNKNOWN, "account", order_checks.account_unknown, False, 3),
    row(Refusal.CANCELED_BEFORE_ARRIVAL, "order", order_checks.canceled_before_arrival, False, 2),
    row(Refusal.FIRM_HALTED, "firm", state_checks.firm_halted),
    entry_row(Refusal.FILL_WINDOW_FULL, "desk", order_checks.fill_window_full, 2),
    row(Refusal.ORDER_TOO_OLD, "order", order_checks.order_too_old, False, 2),
    row(Refusal.ORDER_AGE_UNKNOWN, "order", order_checks.order_age_unknown, False, 2),
    row(Refusal.UNKNOWN_VENUE, "order", order_checks.unknown_venue, False, 2),
    entry_row(Refusal.DISK_LOW, "guard", state_checks.disk_low),
    row(Refusal.DESK_HALTED, "desk", state_checks.desk_halted, False, 1, 2),
    row(Refusal.DESK_HALTED, "desk", state_checks.desk_stopped, False, 3),
    row(Refusal.CUSTOMER_HALTED, "customer", state_checks.customer_halted, False, 3),
    row(Refusal.ACCOUNT_HALTED, "account", state_checks.account_halted, False, 3),
    row(Refusal.TRADER_HALTED, "trader", state_checks.trader_halted, False, 3),
    row(Refusal.ALGO_HALTED, "algo", state_checks.algo_halted, False, 3),
    row(Refusal.SYMBOL_HALTED, "symbol", state_checks.symbol_halted),
    sparing_row(Refusal.DAY_LOSS_ABOVE_MAX, state_checks.day_loss_above_max, "day_loss_max"),
    entry_row(Refusal.FIRM_REDUCING, "firm", state_checks.firm_reducing, 3),
    entry_row(Refusal.DESK_REDUCING, "desk", state_checks.desk_reducing, 3),
    entry_row(Refusal.CUSTOMER_REDUCING, "customer", state_checks.customer_reducing, 3),
    entry_row(Refusal.ACCOUNT_REDUCING, "account", state_checks.account_reducing, 3),
    entry_row(Refusal.TRADER_REDUCING, "trader", state_checks.trader_reducing, 3),
    entry_row(Refusal.ALGO_REDUCING, "algo", state_checks.algo_reducing, 3),
    entry_row(Refusal.SYMBOL_REDUCING, "symbol", state_checks.symbol_reducing, 3),
    entry_row(Refusal.DESK_SYMBOL_REDUCING, "desk", state_checks.desk_symbol_reducing, 3),
    sparing_row(Refusal.LIMIT_UNSAID, limit_checks.limit_unsaid, ""),
    limit_row(Refusal.SYMBOL_RESTRICTED, limit_checks.symbol_restricted, "restricted_symbols"),
    limit_row(Refusal.SYMBOL_NOT_ALLOWED, limit_checks.symbol_not_allowed, "symbols"),
    limit_row(Refusal.SIDE_NOT_ALLOWED, limit_checks.side_not_allowed, "sides"),
    limit_row(Refusal.VENUE_NOT_ALLOWED, limit_checks.venue_not_allowed, "venues"),
    limit_row(Refusal.ORDER_TYPE_NOT_ALLOWED, limit_checks.order_type_not_allowed, "order_types"),
    limit_row(
        Refusal.TIME_IN_FORCE_NOT_ALLOWED, limit_checks.time_in_force_not_allowed, "times_in_force"
    ),
    limit_row(Refusal.QUANTITY_BELOW_MIN, limit_checks.quantity_below_min, "quantity_min"),
    limit_row(Refusal.QUANTITY_ABOVE_MAX, limit_checks.quantity_above_max, "quantity_max"),
    limit_row(Refusal.QUANTITY_OFF_STEP, limit_checks.quantity_off_step, "quantity_step"),
    limit_row(Refusal.PRICE_OFF_STEP, limit_checks.price_off_step, "price_step"),
    limit_row(Refusal.VALUE_BELOW_MIN, limit_checks.value_below_min, "value_min"),
    limit_row(Refusal.VALUE_ABOVE_MAX, limit_checks.value_above_max, "value_max"),
    sparing_row(Refusal.REFERENCE_MISSING, limit_checks.reference_missing, "price_collar_bps"),
    sparing_row(Refusal.REFERENCE_STALE, limit_checks.reference_stale, "reference_age_max_ms"),
    sparing_row(Refusal.REFERENCE_UNCONFIRMED, limit_checks.reference_unconfirmed, "mark_jump_bps"),
    limit_row(Refusal.PRICE_OUTSIDE_COLLAR, limit_checks.price_outside_collar, "price_collar_bps"),
    sparing_row(Refusal.ORDER_RATE_EXCEEDED, limit_checks.order_rate_exceeded, "rates"),
    sparing_row(Refusal.REPLACE_RATE_EXCEEDED, limit_checks.replace_rate_exceeded, "rates"),
    sparing_row(Refusal.NOTIONAL_RATE_EXCEEDED, limit_checks.notional_rate_exceeded, "rates"),
    sparing_row(Refusal.DUPLICATE_ORDER, limit_checks.duplicate_order, "duplicate_window_ms"),
    sparing_row(Refusal.SHORT_SALE_NOT_ALLOWED, short_sales.short_sale_not_allowed, "short_sales"),
    sparing_row(Refusal.LOCATE_MISSING, short_sales.locate_missing, "short_sales"),
    sparing_row(Refusal.LOCATE_UNKNOWN, short_sales.locate_unknown, "short_sales"),
    sparing_row(Refusal.LOCATE_EXCEEDED, short_sales.locate_exceeded, "short_sales"),
    sparing_row(
        Refusal.POSITION_LONG_ABOVE_MAX, position_checks.long_above_max, "position_long_max"
    ),
    sparing_row(
        Refusal.POSITION_SHORT_ABOVE_MAX, position_checks.short_above_max, "position_short_max"
    ),
    row(Refusal.EXIT_BEYOND_POSITION, "desk", position_checks.exit_beyond_position, False, 3),
    sparing_row(
        Refusal.OPEN_ORDERS_ABOVE_MAX, position_checks.open_orders_above_max, "open_orders_max"
    ),
    sparing_row(
        Refusal.REFERENCE_MISSING, exposure_checks.price_of_positions_missing, "revalue_bps"
    ),
    sparing_row(
        Refusal.EXPOSURE_GROSS_ABOVE_MAX, exposure_checks.gross_above_max, "exposure_gross_max"
    ),
    sparing_row(Refusal.EXPOSURE_NET_ABOVE_MAX, exposure_checks.net_above_max, "exposure_net_max"),
    sparing_row(
        Refusal.EXPOSURE_LONG_ABOVE_MAX, exposure_checks.long_above_max, "exposure_long_max"
    ),
    sparing_row(
        Refusal.EXPOSURE_SHORT_ABOVE_MAX, exposure_checks.short_above_max, "exposure_short_max"
    ),
    sparing_row(
        Refusal.CONCENTRATION_ABOVE_MAX,
        exposure_checks.concentration_above_max,
        "concentration_max_bps",
    ),
    row(0, "policy", kernel_rejects),
    row(Refusal.SUBSTITUTION_NOT_ALLOWED, "policy", substitution_not_allowed),
    limit_row(Refusal.VENUE_NOT_ALLOWED, limit_checks.chosen_venue_not_allowed, "venues"),
    sparing_row(Refusal.SELF_MATCH, self_match.meets_own_order, "self_match"),
    entry_row(Refusal.OVERFLOW, "desk", holds_overflow),
    entry_row(Refusal.EXPOSURE_LIMIT_EXCEEDED, "desk", exposure_limit_exceeded),
    entry_row(Refusal.INSUFFICIENT, "desk", insufficient),
]


def in_force(checks: list[Check]) -> list[list[Check]]:
    """The rows that count, by rules version. 0: no log has named one yet; as the first."""
    versions = (RULES_VERSIONS[0], *RULES_VERSIONS)
    return [
        [check for check in checks if check.since_version <= version <= check.until_version]
        for version in versions
    ]


# Behind the kernel, of a replace that only lowers risk.
CHECKS_OF_LOWERING: Final = [
    check for check in CHECKS_BEHIND_KERNEL if check.number == Refusal.CANCELED_BEFORE_ARRIVAL
]
BEFORE_KERNEL_BY_VERSION: Final = in_force(CHECKS_BEFORE_KERNEL)
BEHIND_KERNEL_BY_VERSION: Final = in_force(CHECKS_BEHIND_KERNEL)
