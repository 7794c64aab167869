"""A slice's movement as an operator's action, and out of the record that this leaves."""

from typing import Any

import pytest

from guard.admin.messages import LowerBudget, TopUp
from guard.cluster.slices import SliceGranted, SliceRecord, SliceReturned
from guard.sharing.movements import action_of, budget_of, movement_of

LONGEST = "D" * 32


@pytest.mark.parametrize(
    ("record", "kind", "event"),
    [
        (SliceGranted("budget/desk-alpha", 1, 5), TopUp, "desk_topped_up"),
        (SliceReturned("budget/a-1-2", 17, 2**63 - 1), LowerBudget, "budget_lowered"),
        (SliceGranted(f"budget/{LONGEST}", 10**18 - 1, 1), TopUp, "desk_topped_up"),
    ],
)
def test_there_and_back(record: SliceRecord, kind: type, event: str) -> None:
    action = action_of(record, "why")
    assert isinstance(action, kind)
    assert len(action.action_id) <= 64
    assert budget_of(action.desk) == record.resource
    recorded = {
        "event": event,
        "desk": action.desk,
        "amount_microcents": action.amount_microcents,
        "action_id": action.action_id,
    }
    assert movement_of(recorded) == record


@pytest.mark.parametrize(
    "change",
    [
        {"action_id": "top-up-7"},
        {"action_id": "slice-grant-desk-alpha-0"},
        {"action_id": "slice-grant-desk-alpha-01"},
        {"action_id": "slice-return-desk-alpha-1"},
        {"action_id": "slice-grant-desk-beta-1"},
        {"event": "desk_capped"},
        {"event": "proposed"},
    ],
)
def test_what_is_no_movement(change: dict[str, Any]) -> None:
    recorded = {
        "event": "desk_topped_up",
        "desk": "desk-alpha",
        "amount_microcents": 5,
        "action_id": "slice-grant-desk-alpha-1",
    }
    assert movement_of(recorded) is not None
    assert movement_of(recorded | change) is None
    del recorded["action_id"]
    assert movement_of(recorded) is None
