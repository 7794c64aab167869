"""Numbers and words of refusals and errors, pinned: clients and old logs rely on them.

A change here is a change of the protocol. New ones get new numbers; none is ever used again.
"""

from guard.protocol.reasons import NOT_REMEMBERED, ErrorCode, Refusal, stage_of
from guard_support import CHECKOUT
from kernel import Reason

REFUSALS = {
    "client_order_id_reused": (200, "order"),
    "stale_order": (201, "order"),
    "idempotency_window_full": (202, "order"),
    "unknown_desk": (203, "order"),
    "account_missing": (215, "order"),
    "account_unknown": (216, "order"),
    "customer_halted": (221, "order"),
    "account_halted": (217, "order"),
    "trader_halted": (218, "order"),
    "algo_halted": (219, "order"),
    "customer_reducing": (508, "order"),
    "account_reducing": (505, "order"),
    "trader_reducing": (506, "order"),
    "algo_reducing": (507, "order"),
    "unknown_symbol": (204, "order"),
    "quantity_out_of_range": (205, "order"),
    "desk_halted": (206, "order"),
    "disk_low": (207, "order"),
    "firm_halted": (208, "order"),
    "symbol_halted": (209, "order"),
    "substitution_not_allowed": (300, "kernel"),
    "fill_window_full": (210, "order"),
    "order_too_old": (211, "order"),
    "order_age_unknown": (212, "order"),
    "unknown_venue": (213, "order"),
    "canceled_before_arrival": (214, "order"),
    "all_or_none_refused": (220, "order"),
    "insufficient": (400, "ledger"),
    "firm_reducing": (500, "order"),
    "desk_reducing": (501, "order"),
    "symbol_reducing": (502, "order"),
    "desk_symbol_reducing": (503, "order"),
    "limit_unsaid": (510, "order"),
    "symbol_restricted": (511, "order"),
    "symbol_not_allowed": (512, "order"),
    "side_not_allowed": (513, "order"),
    "venue_not_allowed": (514, "order"),
    "order_type_not_allowed": (515, "order"),
    "time_in_force_not_allowed": (516, "order"),
    "quantity_below_min": (520, "order"),
    "quantity_above_max": (521, "order"),
    "quantity_off_step": (522, "order"),
    "price_off_step": (523, "order"),
    "value_below_min": (530, "order"),
    "value_above_max": (531, "order"),
    "reference_missing": (540, "order"),
    "reference_stale": (541, "order"),
    "price_outside_collar": (542, "order"),
    "reference_unconfirmed": (543, "order"),
    "order_rate_exceeded": (560, "order"),
    "notional_rate_exceeded": (561, "order"),
    "replace_rate_exceeded": (562, "order"),
    "duplicate_order": (570, "order"),
    "self_match": (580, "order"),
    "short_sale_not_allowed": (581, "order"),
    "locate_missing": (582, "order"),
    "locate_unknown": (583, "order"),
    "locate_exceeded": (584, "order"),
    "position_long_above_max": (590, "order"),
    "position_short_above_max": (591, "order"),
    "open_orders_above_max": (592, "order"),
    "day_loss_above_max": (504, "order"),
    "exit_beyond_position": (598, "order"),
    "exposure_gross_above_max": (600, "order"),
    "exposure_net_above_max": (601, "order"),
    "exposure_long_above_max": (602, "order"),
    "exposure_short_above_max": (603, "order"),
    "concentration_above_max": (604, "order"),
    "exposure_limit_exceeded": (401, "ledger"),
    "overflow": (402, "ledger"),
}
ERRORS = {
    "malformed": 900,
    "bad_framing": 901,
    "message_too_large": 902,
    "empty_array": 903,
    "too_many_requests": 904,
    "not_a_request": 905,
    "unknown_type": 906,
    "missing_field": 907,
    "unknown_field": 908,
    "invalid_field": 909,
    "fill_id_reused": 920,
    "execution_id_reused": 928,
    "unknown_order": 921,
    "order_refused": 922,
    "order_filled": 923,
    "unknown_desk": 924,
    "unknown_symbol": 925,
    "reduce_id_reused": 926,
    "fill_window_full": 929,
    "too_many_orders": 927,
    "unknown_record": 931,
    "disk_full": 930,
    "not_permitted": 940,
    "rate_exceeded": 941,
    "order_replaced": 950,
    "replace_pending": 951,
    "no_replace": 952,
    "replace_settled": 953,
    "order_canceled": 954,
    "not_serving": 960,
}
PROTOCOL = (CHECKOUT / "guard" / "PROTOCOL.md").read_text()


def test_refusals_are_pinned() -> None:
    assert {one.word: (int(one), stage_of(one)) for one in Refusal} == REFUSALS


def test_errors_are_pinned() -> None:
    assert {one.word: int(one) for one in ErrorCode} == ERRORS


def test_what_is_not_remembered() -> None:
    assert {
        "client_order_id_reused",
        "stale_order",
        "idempotency_window_full",
    } == NOT_REMEMBERED


def test_no_number_and_no_word_is_used_twice() -> None:
    numbers = [int(one) for kind in (Refusal, ErrorCode, Reason) for one in kind]
    assert len(set(numbers)) == len(numbers)
    words = [*REFUSALS, *(one.snake for one in Reason)]
    assert len(set(words)) == len(words)


def test_the_protocol_page_names_every_one() -> None:
    for word in [*REFUSALS, *ERRORS, *(one.snake for one in Reason)]:
        assert f"`{word}`" in PROTOCOL, word
