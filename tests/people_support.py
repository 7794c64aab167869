"""A guard where some things take two people, and people at its admin endpoint."""

import io
from dataclasses import replace
from typing import Any

import pytest

from guard.admin.actions import done_before, plan
from guard.admin.messages import AdminError
from guard.engine.events import DeskCapped
from guard.engine.people import due_event
from guard.recovery.checkpoint_payload import decode_state, encode_state
from guard.replay.replay import replay_log
from guard_support import (
    KEY,
    SECOND_NS,
    T0,
    LoggedEngine,
    actor,
    describe,
    dev_config,
    write_log,
)
from wal import ChainHasher

PEOPLE = (
    '[clients.ann]\nuser = 1\nroles = ["view", "operate", "approve"]\n'
    '[clients.ann-at-home]\nuser = 2\nperson = "ann"\nroles = ["operate", "approve"]\n'
    '[clients.bob]\nuser = 3\nroles = ["operate", "approve"]\n'
)
APPROVALS = (
    "[approvals]\nproposal_s = 60\nloosening_max_s = 600\n"
    "[approvals.ceiling]\nquantity_max = 500\n"
    '[approvals.desk.desk-alpha]\nbudget = "2500000.00"\nexposure_cap = "50000.00"\n'
)
LIMITS = '[limits]\nquantity_max = 100\nvalue_max = "none"\nprice_collar_bps = "none"\n'
MINUTE_NS = 60 * SECOND_NS


def guard(*changes: tuple[str, str], limits: str = "") -> LoggedEngine:
    sections = f"{APPROVALS}{PEOPLE}{limits}\n[settings]"
    ipc = ('orders = "tcp://127.0.0.1:7001"', 'orders = "ipc://@people-test"')
    engine = LoggedEngine(dev_config(("[settings]", sections), ipc, *changes))
    engine.is_checked = False
    first = actor(T0, engine.state.next_sequence)
    cap = 40_000 * 10**8
    engine.log(first.event(DeskCapped, desk="desk-alpha", max_reserved_microcents=cap))
    return engine


class Desk:
    """People at an admin endpoint, as the daemon serves them."""

    def __init__(self, engine: LoggedEngine) -> None:
        self.engine, self.at_ns, self._count = engine, T0, 0

    def who(self, person: str) -> Any:
        self.pass_to(self.at_ns)
        batch = self.engine.state.next_sequence
        return replace(actor(self.at_ns, batch, f"{person} of a test", "a test"), person=person)

    def pass_to(self, at_ns: int) -> None:
        """Time passes: what is due is recorded."""
        state = self.engine.state
        self.at_ns = self.engine.now_ns = at_ns
        while at_ns >= state.due_at_ns:
            self.engine.log(due_event(state, actor(at_ns, state.next_sequence, "local", "due")))

    def do(self, person: str, kind: type[Any], **fields: Any) -> Any:
        """Does it: its event."""
        self._count += 1
        common = {"action_id": f"a-{self._count}", "why": "a test"}
        action = kind(**(common | fields))
        who = self.who(person)
        assert done_before(self.engine.state, action, who) is None
        event = plan(self.engine.state, action, who).event
        self.engine.log(event)
        return event

    def refused(self, person: str, kind: type[Any], **fields: Any) -> str:
        before = self.engine.state.next_sequence
        with pytest.raises(AdminError) as caught:
            self.do(person, kind, **fields)
        assert self.engine.state.next_sequence == before
        return caught.value.code


def held_well(engine: LoggedEngine, tmp_path: Any) -> None:
    """A checkpoint of it is the same state, and a replay finds nothing."""
    data = b"".join(encode_state(engine.state))
    loaded = decode_state(io.BytesIO(data).read)
    assert describe(loaded) == describe(engine.state)
    assert loaded.due_at_ns == engine.state.due_at_ns
    write_log(tmp_path / "log", engine.records)
    replay_log(tmp_path / "log", ChainHasher(KEY))
