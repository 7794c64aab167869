"""Policy, limits and a halt under full load: what stands before each in the log is of the old one.

A stream of orders of three kinds never pauses while an operator acts; each action changes what one
kind is answered. What the log says then depends on its order alone, and it replays.
"""

import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs, to_builtins

from daemon_support import Site, config_text, event_of
from guard.config.endpoint import BESIDE_LOG, admin_endpoint
from guard.config.file import parse_config
from protocol_client import ProtocolClient, order

AT_ONCE = 40  # orders in a message
UNDER_WAY = 12  # messages
BETWEEN = 40  # messages that are answered between two actions
KINDS: tuple[dict[str, Any], ...] = (
    {"risk_bps": 200, "quantity": 1},
    {"risk_bps": 5_000, "quantity": 1},
    {"risk_bps": 200, "quantity": 500},
)
_, RISKY, LARGE = range(3)
LIMITS = 'quantity_max = 100\nvalue_max = "none"\nprice_collar_bps = "none"\n'
NEAR = 5  # records: others than orders are rare
PATIENCE_S = 120


class Stream:
    """Orders without a pause, so many messages under way at any time."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.answered = threading.Semaphore(0)
        self.ends = threading.Event()

    def run(self) -> None:
        sent = received = 0
        with ProtocolClient(self.endpoint, encoding="msgpack") as client:
            while not self.ends.is_set() or received < sent:
                if sent - received < UNDER_WAY and not self.ends.is_set():
                    client.send([_order(sent * AT_ONCE + at) for at in range(AT_ONCE)])
                    sent += 1
                    continue
                assert len(client.receive()) == AT_ONCE
                received += 1
                self.answered.release()

    def wait_for(self, messages: int) -> None:
        for _ in range(messages):
            assert self.answered.acquire(timeout=PATIENCE_S)


def _order(number: int) -> dict[str, Any]:
    return order(f"A-{number}", desk="desk-alpha", price=100, **KINDS[number % len(KINDS)])


@pytest.mark.slow
def test_what_is_switched_under_full_load_counts_from_its_record_on(tmp_path: Path) -> None:
    budgets = {"desk-alpha": ("90000000.00", "none")}
    site = Site(tmp_path, config_text(desks=budgets))
    actions = _actions(config_text(desks=budgets))
    admin_place = admin_endpoint(BESIDE_LOG, str(site.log)) or ""
    done = []
    with site.running() as daemon, ThreadPoolExecutor(1) as executor:
        stream = Stream(daemon.endpoint)
        running = executor.submit(stream.run)
        try:
            with ProtocolClient(admin_place) as admin:
                for action in actions:
                    stream.wait_for(BETWEEN)
                    done.append(admin.ask({**action, "why": "under load"}))
                stream.wait_for(BETWEEN)
        finally:
            stream.ends.set()
        running.result(PATIENCE_S)
        assert [reply["type"] for reply in done] == ["done"] * len(actions), done
        assert daemon.stop() == 0
    entries = site.records()
    records = [event_of(entry) for entry in entries]
    switched = [reply["wal_sequence"] for reply in done]
    for sequence in switched:  # in the midst of the orders, not in a pause of theirs
        assert any("order" in record for record in records[sequence - NEAR : sequence - 1])
        assert any("order" in record for record in records[sequence : sequence + NEAR - 1])
    assert _answers(records, switched) == _expected()
    for sequence, entry in enumerate(entries, 1):
        if "order" in event_of(entry):
            assert entry["audit"]["policy_epoch"] == (7 if sequence < switched[0] else 8)
    assert site.replay()["ok"]


def _actions(text: str) -> list[dict[str, Any]]:
    """Another policy, limits, a halt: each as the admin page has it."""
    policy = structs.replace(parse_config(text).policy, policy_epoch=8, hard_risk_limit_bps=3_000)
    limits = parse_config(f"{text}\n[limits]\n{LIMITS}").limits
    return [
        {"type": "activate_policy", "action_id": "p", "policy": to_builtins(policy)},
        {"type": "set_limits", "action_id": "l", "limits": to_builtins(limits)},
        {"type": "halt", "action_id": "h", "scope": "desk", "name": "desk-alpha"},
    ]


def _answers(records: list[dict[str, Any]], switched: list[int]) -> dict[tuple[int, int], set[str]]:
    """By how many actions stand before it, and by its kind: what orders were answered."""
    found: dict[tuple[int, int], set[str]] = defaultdict(set)
    for sequence, record in enumerate(records, 1):
        if "order" in record:
            phase = sum(sequence > action for action in switched)
            kind = int(record["order"]["client_order_id"][2:]) % len(KINDS)
            answer = record["answer"]
            found[phase, kind].add("admit" if answer["type"] == "admit" else answer["reason"])
    return dict(found)


def _expected() -> dict[tuple[int, int], set[str]]:
    halted = dict.fromkeys(range(len(KINDS)), "desk_halted")
    refused: tuple[dict[int, str], ...] = (
        {},
        {RISKY: "risk_hard_limit"},
        {RISKY: "risk_hard_limit", LARGE: "quantity_above_max"},
        halted,
    )
    return {
        (phase, kind): {words.get(kind, "admit")}
        for phase, words in enumerate(refused)
        for kind in range(len(KINDS))
    }
