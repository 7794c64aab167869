"""What each field of the admin protocol may be, for who wrote something else. Pure.

A part of `guard.admin.messages`.
"""

from typing import Final

from guard.admin.message_base import PAGE_MAX, WHY_LENGTH_MAX
from guard.engine.latches import LATCH_KINDS
from guard.protocol.wire import ALLOWED as REQUEST_ALLOWED

_NAME: Final = REQUEST_ALLOWED["desk"]
_IDENTIFIER: Final = REQUEST_ALLOWED["client_order_id"]
_AMOUNT: Final = "an integer of microcents from 1 to 9223372036854775807"
ALLOWED: Final = {
    "type": "the name of an action or a query of the admin protocol",
    "action_id": _IDENTIFIER,
    "why": f"1 to {WHY_LENGTH_MAX} characters, none of them a control character",
    "by": "1 to 64 printable ASCII characters, none before or behind them a space",
    "dry_run": "true or false",
    "day": "a date such as 2026-11-30",
    "forgive_fees": "true or false",
    "latch": " or ".join(LATCH_KINDS),
    "scope": '"firm", "customer", "desk", "account", "trader", "algo" or "symbol"',
    "name": f"{_NAME}; none for the firm",
    "after": f"nothing, or {_NAME}",
    "desk": _NAME,
    "symbol": _NAME,
    "account": _NAME,
    "customer": f"nothing, or {_NAME}",
    "client_order_id": _IDENTIFIER,
    "fill_id": _IDENTIFIER,
    "quantity": "an integer of lots from 1 to 9223372036854775807, or null",
    "price": "an integer of ticks from 1 to 9223372036854775807, or null",
    "fee_microcents": "an integer from -9223372036854775808 to 9223372036854775807, or null",
    "amount_microcents": _AMOUNT,
    "budget_microcents": "an integer of microcents from 0 to 9223372036854775807",
    "max_reserved_microcents": f'{_AMOUNT}, or "none" for no cap',
    "proposal": _IDENTIFIER,
    "order": "an order, as it is sent (PROTOCOL 3)",
    "checks": "a list of the reasons of checks of limits",
    "locate_id": _IDENTIFIER,
    "after_locate": f"{_IDENTIFIER}, or null",
    "quantity_lots": "an integer of lots from 1 to 9223372036854775807",
    "lots": "an integer of lots from -9223372036854775807 to 9223372036854775807, but 0",
    "cost_microcents": "an integer of microcents from 0 to 9223372036854775807",
    "lasts_s": "an integer of seconds from 1 to 31536000, or null for as long as is allowed",
    "proposal_ms": "an integer of milliseconds from 1 to 31536000000",
    "loosening_ms_max": "an integer of milliseconds from 1 to 31536000000",
    "limit": f"an integer from 1 to {PAGE_MAX}",
    "cursor": "a next_cursor of an earlier reply",
    "older_than_ns": "an integer of nanoseconds from 0 on",
    "suspect": "true or false",
    "tick_size": 'decimal text, such as "0.01"',
    "lot_size": 'decimal text, such as "1"',
    "multiplier": 'decimal text, such as "1"',
}
