"""Reasons, stages, flags and events in words. Pure.

Owns one phrase for each word that a log holds, for people who do not write code; the word itself
stands beside it wherever it is to be looked for. A word of another version is shown as it is.
"""

from typing import Final

# Of every reason there is: what was the matter, to be read behind "rejected:" or "admitted:".
REASONS: Final = {
    "requested_model_maximizes_utility": "to the venue asked for, which was worth most",
    "alternative_maximizes_utility": "to another venue than asked for, which was worth more",
    "risk_hard_limit": "risk not below the policy's hard limit",
    "confidence_hard_limit": "confidence below the policy's minimum",
    "no_enabled_model": "no venue that is enabled",
    "quality_constraint": "no venue of the quality asked for",
    "latency_constraint": "no venue as fast as asked for",
    "capability_constraint": "no venue with the capabilities required",
    "provider_constraint": "no venue of a provider that the order allows",
    "region_constraint": "no venue in a region that the order allows",
    "budget_constraint": "fee above the order's own limit at the venues",
    "non_positive_utility": "no venue where the order is worth its costs",
    "risk_ceiling_constraint": "risk above the venues' ceilings",
    "client_order_id_reused": "id used before, for another order",
    "stale_order": "sent longer ago, or further ahead, than ids are remembered",
    "idempotency_window_full": "no room to remember another id",
    "fill_window_full": "little room left to remember fills",
    "order_too_old": "older than the desk allows",
    "order_age_unknown": "of unknown age, which the desk does not allow",
    "unknown_venue": "no such venue",
    "unknown_desk": "no such desk",
    "account_missing": "no account named, of a desk that has accounts",
    "account_unknown": "no such account of the desk",
    "unknown_symbol": "no such symbol",
    "quantity_out_of_range": "more lots than an order may have",
    "desk_halted": "the desk's entries halted, for unpaid fees or by a person",
    "firm_halted": "all entries stopped by a person",
    "customer_halted": "the customer's orders stopped by a person",
    "customer_reducing": "the customer may but reduce positions",
    "account_halted": "the account's orders stopped by a person",
    "trader_halted": "the trader's orders stopped by a person",
    "algo_halted": "the algorithm's orders stopped by a person",
    "account_reducing": "the account may but reduce its positions",
    "trader_reducing": "the trader may but reduce positions",
    "algo_reducing": "the algorithm may but reduce positions",
    "symbol_halted": "the symbol's entries stopped by a person",
    "firm_reducing": "all desks may but reduce positions, by a person's word or a latch",
    "desk_reducing": "the desk may but reduce positions, for fees owed, a latch or a person's word",
    "symbol_reducing": "positions in the symbol may but be reduced, by a person's word or a latch",
    "desk_symbol_reducing": "the desk may but reduce its position in the symbol, by a latch",
    "day_loss_above_max": "more lost in a day than the limit, and no person has lifted that",
    "disk_low": "all entries halted, the log's disk low",
    "canceled_before_arrival": "canceled before it came",
    "all_or_none_refused": "another order refused, with which it stands or falls",
    "limit_unsaid": "a limit that must be said, and that none says",
    "symbol_restricted": "a restricted symbol",
    "symbol_not_allowed": "a symbol that the limits do not name",
    "side_not_allowed": "a side that the limits bar",
    "venue_not_allowed": "a venue that the limits bar",
    "order_type_not_allowed": "an order type that the limits bar",
    "time_in_force_not_allowed": "a time in force that the limits bar",
    "quantity_below_min": "fewer lots than the limit",
    "quantity_above_max": "more lots than the limit",
    "quantity_off_step": "lots that are no multiple of the step",
    "price_off_step": "a price that is no multiple of the step",
    "value_below_min": "worth less than the limit",
    "value_above_max": "worth more than the limit",
    "reference_missing": "no reference price known",
    "reference_stale": "the reference price too old",
    "reference_unconfirmed": "the reference price has jumped to what nothing confirms yet",
    "price_outside_collar": "a price outside its collar",
    "order_rate_exceeded": "more orders in a window than the limit",
    "replace_rate_exceeded": "more replaces within a window than may be",
    "notional_rate_exceeded": "more value in a window than the limit",
    "duplicate_order": "the same order again under another id",
    "self_match": "could trade against an open order of the firm itself",
    "short_sale_not_allowed": "a short sale where none is allowed",
    "locate_missing": "a short sale without a locate",
    "locate_unknown": "no such locate of the desk in the symbol",
    "locate_exceeded": "more lots short than its locate has left",
    "position_long_above_max": "a long position beyond the limit",
    "position_short_above_max": "a short position beyond the limit",
    "exit_beyond_position": "the replace of a reducing order would do more than reduce",
    "open_orders_above_max": "more open orders than the limit",
    "exposure_gross_above_max": "a gross exposure beyond the limit",
    "exposure_net_above_max": "a net exposure beyond the limit",
    "exposure_long_above_max": "a long exposure beyond the limit",
    "exposure_short_above_max": "a short exposure beyond the limit",
    "concentration_above_max": "too much of an exposure in one symbol",
    "substitution_not_allowed": "another venue was worth more, and the order allows none",
    "insufficient": "not enough of the desk's budget left",
    "exposure_limit_exceeded": "above the desk's exposure cap",
    "overflow": "more money than can be counted",
}

STAGES: Final = {
    "order": "the order itself: identity, desk, symbol, window, halts",
    "kernel": "the policy: limits, gates, utility, substitution",
    "ledger": "money: cap and budget",
}

# What stops a venue, in the order in which they are looked at.
GATES: Final = {
    "disabled": "switched off",
    "quality": "quality",
    "latency": "latency",
    "capability": "capability",
    "provider": "provider",
    "region": "region",
    "risk_ceiling": "risk ceiling",
    "budget": "fee above the order's limit",
    "utility": "not worth its costs",
}

EVENTS: Final = {
    "log_opened": "log begun",
    "settings_activated": "settings",
    "rules_activated": "rules",
    "policy_activated": "policy",
    "instrument_defined": "instrument",
    "desk_opened": "desk opened",
    "account_set": "account set",
    "desk_topped_up": "budget raised",
    "desk_capped": "cap set",
    "desk_order_age_limited": "order age bounded",
    "clock_accepted": "clock accepted",
    "desk_resumed": "desk resumed",
    "desk_halted": "desk halted",
    "desk_halt_ended": "desk's debt paid",
    "limits_set": "limits set",
    "revalued": "price of positions",
    "desk_fee_bounded": "bound of fees set",
    "replaced": "replaced by the venue",
    "replace_rejected": "not replaced by the venue",
    "fill_accepted": "fill's fee accepted",
    "fill_busted": "fill busted",
    "fill_corrected": "fill corrected",
    "budget_lowered": "budget lowered",
    "trading_halted": "entries stopped",
    "trading_reduced": "positions may but be reduced",
    "approvals_set": "what takes two people",
    "proposed": "proposed",
    "proposal_withdrawn": "proposal withdrawn",
    "proposal_expired": "proposal expired",
    "loosening_reverted": "loosening taken back",
    "position_opened": "position opened",
    "order_overridden": "order overridden",
    "override_expired": "override expired",
    "latch_set": "latch set",
    "execution": "execution",
    "loss_breached": "loss beyond its limit",
    "latch_lifted": "latch lifted",
    "locate_added": "locate added",
    "locate_removed": "locate removed",
    "trading_resumed": "entries let on again",
    "hold_freed": "hold freed",
    "cancel_all": "orders canceled",
    "all_or_none": "orders that stand or fall together",
    "operator_acted": "operator",
    "day_closed": "day closed",
    "halt": "entries halted",
    "resume": "entries resumed",
    "checkpoint": "checkpoint",
    "key_changed": "key changed",
    "session_started": "session started",
    "session_closed": "session closed",
}


def reason_words(reason: str) -> str:
    """The phrase of a reason; the word itself where no version known here gives it."""
    return REASONS.get(reason, reason.replace("_", " "))


def event_words(event: str) -> str:
    """The phrase of an event."""
    return EVENTS.get(event, event.replace("_", " "))


def gate_words(gate: str) -> str:
    """The phrase of a gate."""
    return GATES.get(gate, gate.replace("_", " "))
