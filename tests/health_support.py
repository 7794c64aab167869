"""A reply to `health` of a guard that is well, to be changed."""

from typing import Any

from guard.admin.messages import HealthReply

FIGURES: dict[str, int] = {
    "uptime_ns": 3_600_000_000_000,
    "batch_waiting_ns": 0,
    "last_sync_ns": 200_000,
    "disk_left_bytes": 50_000_000_000,
    "disk_reserve_bytes": 67_108_864,
    "clock_behind_ns": 0,
    "checkpoint_sequence": 400,
    "checkpoint_age_ns": 60_000_000_000,
    "checkpoint_interval_ns": 900_000_000_000,
    "records_since_checkpoint": 100,
    "anchor_sequence": 450,
    "anchor_behind_ns": 0,
    "desks": 2,
    "instruments": 2,
    "open_orders": 3,
    "remembered_orders": 10,
    "remembered_orders_max": 1_000,
    "actions_remembered": 0,
    "connections": 1,
    "lines_not_said": 0,
    "limits_nearly_used": 0,
    "latches": 0,
    "desks_reducing": 0,
}


def health(**changes: Any) -> HealthReply:
    """It; `changes`: of its fields, or of its figures."""
    figures = FIGURES | {name: value for name, value in changes.items() if name in FIGURES}
    fields: dict[str, Any] = {
        "admin_version": 1,
        "software_version": "0.1.0",
        "log_id": "ab" * 16,
        "epoch": 1,
        "endpoint": "tcp://127.0.0.1:7001",
        "log_directory": "/log",
        "head_sequence": 500,
        "head_hash": "cd" * 32,
        "is_serving": True,
        "is_firm_halted": False,
        "desks_halted": [],
        "symbols_halted": [],
        "entries_halted": None,
        "troubles": [],
    }
    fields |= {name: value for name, value in changes.items() if name not in FIGURES}
    return HealthReply(figures=figures, **fields)
