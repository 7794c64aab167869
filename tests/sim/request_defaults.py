"""The keys of orders and fills, and what stands for one that is left out. Of the oracle."""

from typing import Any

ORDER_DEFAULTS: dict[str, Any] = {
    "client_order_id": None,
    "desk": None,
    "symbol": None,
    "side": None,
    "quantity": None,
    "price": None,
    "venue": None,
    "risk_bps": None,
    "confidence_bps": None,
    "minimum_quality_bps": 0,
    "max_p95_latency_ms": 0,
    "required_capabilities": 0,
    "allowed_providers": 2**64 - 1,
    "required_regions": 0,
    "max_fee_microcents": 2**64 - 1,
    "allow_substitute": True,
    "order_type": "limit",
    "time_in_force": "day",
    "currency": "USD",
    "sent_at_ns": None,
    "locate_id": None,
    "account": None,
    "trader": None,
    "algo": None,
}
FILL_DEFAULTS: dict[str, Any] = {
    "desk": None,
    "client_order_id": None,
    "fill_id": None,
    "quantity": None,
    "fee_microcents": None,
    "price": None,
    "executed_at_ns": None,
}
EXECUTION_DEFAULTS: dict[str, Any] = {
    "desk": None,
    "client_order_id": None,
    "execution_id": None,
    "venue": None,
    "symbol": None,
    "side": None,
    "quantity": None,
    "price": None,
    "executed_at_ns": None,
}
REPLACE_DEFAULTS: dict[str, Any] = {
    "client_order_id": None,
    "desk": None,
    "original_client_order_id": None,
    "quantity": None,
    "price": None,
    "order_type": None,
    "time_in_force": None,
    "sent_at_ns": None,
}
