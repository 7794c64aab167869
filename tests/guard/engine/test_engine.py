"""The engine as a whole: any history, against an oracle of plain dicts; fold and replay at its end.

The oracle knows the rules of the protocol page for a small world (one instrument at one microcent a
lot and tick pair, one good venue) and nothing of the engine's code.
"""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from msgspec import structs

from form_support import played
from guard.config.activation import resume_event
from guard.engine.engine import Engine
from guard.engine.events import Decided
from guard.protocol.messages import Admit, ErrorReply, Ping, Reject
from guard.protocol.outcome import Outcome, OutcomeKind
from guard.record.codec import decode_data
from guard_day_support import trading_day
from guard_support import (
    SECOND_NS,
    T0,
    LoggedEngine,
    actor,
    apply,
    balances,
    cancel,
    check_conservation,
    decide,
    describe,
    dev_config,
    fields_of,
    fill,
    fold,
    order,
    status,
)
from reference.journal import encode_data
from reference.origin import Origin

WINDOW_S = 10
IDS_MAX = 6
BUDGETS = {"desk-alpha": 3_000_000_000, "desk-beta": 1_500_000_000}
CAPS = {"desk-alpha": 2_000_000_000, "desk-beta": None}
FEE = 14_001


def small_world() -> LoggedEngine:
    """Budgets of 30.00 and 15.00, a cap of 20.00, six ids for ten seconds."""
    return LoggedEngine(
        dev_config(
            ("2000000.00", "30.00"),
            ("1500000.00", "20.00"),
            ("500000.00", "15.00"),
            remembered_orders_max=IDS_MAX,
            remembered_order_window_s=WINDOW_S,
        )
    )


def replay_bytes(records: list[bytes]) -> list[bytes]:
    """Every request of the records decided again on a fresh engine: the data that this gives."""
    engine, again = Engine(), []
    for sequence, data in enumerate(records, 1):
        outcome = decode_data(data).outcome
        request = next(
            (
                getattr(outcome, name)
                for name in ("order", "fill", "cancel")
                if hasattr(outcome, name)
            ),
            None,
        )
        decided: Any = Decided(outcome)
        if request is not None:
            origin = Origin(outcome.received_at_ns, outcome.client, outcome.batch_first_sequence)
            decided = decide(engine, request, origin)
            assert isinstance(decided, Decided)
        again.append(encode_data(decided))
        apply(engine, sequence, outcome)
    return again


class Known:
    """What the oracle knows of an id."""

    def __init__(self, first: Any, wanted: Any, phase: str, hold: int) -> None:
        self.first = first
        self.wanted = wanted
        self.phase = phase
        self.hold_at_first = hold
        self.hold = hold
        self.filled = 0
        self.fills: dict[str, Any] = {}
        self.released: Any = None
        self.forgotten_at_ns: int | None = None


DESKS = st.sampled_from(["desk-alpha", "desk-beta"])
NAMES = st.sampled_from([f"N-{number}" for number in range(9)])
QUANTITIES = st.integers(1, 30)
PRICES = st.integers(1, 60)
RISKS = st.sampled_from([0, 9_600])
FEES = st.sampled_from([0, 1, 7, 14_001, 900_000_000, 2**62, -1, -(2**40)])


class EngineMachine(RuleBasedStateMachine):
    """Any history of orders, fills, cancels, resumptions and time."""

    def __init__(self) -> None:
        super().__init__()
        self.guard = small_world()
        self.known: dict[tuple[str, str], Known] = {}
        self.orphans: dict[tuple[str, str, str], tuple[Any, Any, int]] = {}
        self.halted = dict.fromkeys(BUDGETS, False)
        self.committed = dict.fromkeys(BUDGETS, 0)
        self.owed = dict.fromkeys(BUDGETS, 0)
        # By their identity: what was asked and answered, until when it is kept.
        self.early: dict[tuple[str, str, str], tuple[Any, Any, int]] = {}
        self.canceled: dict[tuple[str, str], tuple[Any, int]] = {}
        self.closes_ns: list[int] = []

    def _find(self, desk: str, name: str) -> Known | None:
        found = self.known.get((desk, name))
        return None if found is None or self._is_expired(found) else found

    def _is_expired(self, found: Known) -> bool:
        ends_ns = found.forgotten_at_ns
        return ends_ns is not None and ends_ns <= self.guard.now_ns

    def _recorded(self, *desks: str, sequence: int | None = None) -> None:
        """What a record forgets: of its own desk, and of the one whose turn it is."""
        if sequence is None:
            sequence = self.guard.engine.next_sequence - 1
        turn = ("", *BUDGETS)[sequence % 3]
        for key, found in list(self.known.items()):
            if key[0] in (turn, *desks) and self._is_expired(found):
                del self.known[key]

    def _close(self, found: Known, phase: str) -> None:
        found.phase = phase
        found.forgotten_at_ns = self.guard.now_ns + WINDOW_S * SECOND_NS + 1

    def _is_full(self, desk: str) -> bool:
        """Its minimum is one, and of the pool of four it may have half of what is left."""
        mine = [found for key, found in self.known.items() if key[0] == desk]
        others = len(self.known) - len(mine)
        left = 4 - max(0, others - 1)
        return len(mine) >= 1 + (left + 1) // 2 and not any(map(self._is_expired, mine))

    def _reserved(self, desk: str) -> int:
        return sum(found.hold for (of, _), found in self.known.items() if of == desk)

    def _free(self, desk: str) -> int:
        return BUDGETS[desk] - self._reserved(desk) - self.committed[desk]

    @rule(desk=DESKS, name=NAMES, quantity=QUANTITIES, price=PRICES, risk=RISKS)
    def send_order(self, desk: str, name: str, quantity: int, price: int, risk: int) -> None:
        wanted = order(name, desk=desk, quantity=quantity, price=price, risk_bps=risk)
        found = self._find(desk, name)
        is_full = self._is_full(desk)
        reply = self.guard.submit(wanted)
        if found is not None:
            if found.wanted == wanted:
                assert reply == structs.replace(found.first, repeat=True)
            else:
                assert reply.reason == "client_order_id_reused"
                assert reply.detail == {"original_wal_sequence": found.first.wal_sequence}
                self._recorded(desk)
            return
        hold = quantity * price * 1_000_000
        expected = self._expected_reason(desk, hold, risk, is_full)
        canceled = self._canceled(desk, name)
        if canceled is not None and expected != "idempotency_window_full":
            expected = "canceled_before_arrival"
            assert reply.detail == {"original_wal_sequence": canceled.wal_sequence}
        assert reply.reason == expected
        if expected == "idempotency_window_full":
            self._recorded(desk)
            return
        assert isinstance(reply, Admit) == expected.startswith("requested_model")
        is_admitted = isinstance(reply, Admit)
        entry = Known(reply, wanted, "open", hold if is_admitted else 0)
        self.known[(desk, name)] = entry
        if not is_admitted:
            self._close(entry, "refused")
        self._recorded(desk, sequence=reply.wal_sequence)
        for key, (early, _) in self._alive_early().items():
            if is_admitted and key[:2] == (desk, name):
                del self.early[key]
                self._take_fill(entry, early, self.guard.submit(early), ["early"])

    def _canceled(self, desk: str, name: str) -> Any:
        canceled = self.canceled.get((desk, name))
        return canceled[0] if canceled and canceled[1] > self.guard.now_ns else None

    def _alive_early(self) -> dict[tuple[str, str, str], tuple[Any, Any]]:
        now_ns = self.guard.now_ns
        return {
            key: (wanted, reply)
            for key, (wanted, reply, until_ns) in self.early.items()
            if until_ns > now_ns
        }

    def _expected_reason(self, desk: str, hold: int, risk: int, is_full: bool) -> str:
        if is_full:
            return "idempotency_window_full"
        if self.halted[desk]:
            return "desk_halted"
        if risk:
            return "risk_hard_limit"
        cap = CAPS[desk]
        if cap is not None and self._reserved(desk) + hold > cap:
            return "exposure_limit_exceeded"
        if hold > self._free(desk):
            return "insufficient"
        return "requested_model_maximizes_utility"

    @rule(
        desk=DESKS,
        name=NAMES,
        fill_id=st.sampled_from(["F-1", "F-2", "F-3"]),
        quantity=QUANTITIES,
        fee=FEES,
    )
    def send_fill(self, desk: str, name: str, fill_id: str, quantity: int, fee: int) -> None:
        wanted = fill(fill_id, quantity, fee, desk=desk, client_order_id=name)
        found = self._find(desk, name)
        key = (desk, name, fill_id)
        orphan = self._alive_orphans().get(key) or self._alive_early().get(key)
        reply = self.guard.submit(wanted)
        kept = self.known.get((desk, name))  # its fills too, as long as it is not swept out
        earlier = (kept.fills if kept else {}).get(fill_id) or orphan
        if earlier is not None:
            first_wanted, first = earlier
            if first_wanted == wanted:
                assert reply == structs.replace(first, repeat=True)
            else:
                assert isinstance(reply, ErrorReply)
                assert reply.code == "fill_id_reused"
                differs = "quantity" if first_wanted.quantity != quantity else "fee_microcents"
                assert reply.field == differs
            return
        if found is not None and found.phase != "refused":
            self._take_fill(found, wanted, reply, [])
            return
        until_ns = self.guard.now_ns + WINDOW_S * SECOND_NS
        flags = ["unknown"] if found is None else ["unknown", "refused"]
        flags += ["uncharged"] * (fee > 0)
        if found is None:
            self.early.pop(key, None)
            self.early[key] = (wanted, reply, until_ns)
        else:
            self.orphans.pop(key, None)
            self.orphans[key] = (wanted, reply, until_ns)
            while len(self._alive_orphans()) > IDS_MAX:
                del self.orphans[next(iter(self._alive_orphans()))]
        assert (reply.flags, reply.hold_microcents, reply.unpaid_fee_microcents) == (flags, 0, 0)
        self._collect(desk, reply)
        self._recorded(desk)

    def _take_fill(self, found: Known, wanted: Any, reply: Any, more: list[str]) -> None:
        """A fill of an order that was admitted."""
        desk, quantity, freed = wanted.desk, found.wanted.quantity, 0
        flags = ["overfill"] if found.filled + wanted.quantity > quantity else []
        flags += ["late"] if found.phase != "open" else []
        found.filled += wanted.quantity
        if found.phase == "open":
            done = min(found.filled, quantity)
            left = found.hold_at_first - found.hold_at_first * done // quantity
            freed, found.hold = found.hold - left, left
            if done == quantity:
                self._close(found, "filled")
        assert reply.repeat is bool(more)
        found.fills[wanted.fill_id] = (wanted, structs.replace(reply, repeat=False))
        paid = min(max(wanted.fee_microcents, 0), self._free(desk))
        unpaid = max(wanted.fee_microcents, 0) - paid
        self.committed[desk] += paid
        assert (reply.released_microcents, reply.unpaid_fee_microcents) == (freed, unpaid)
        assert reply.flags == [*flags, *more]
        assert reply.hold_microcents == found.hold
        self._collect(desk, reply)
        if unpaid:
            self.halted[desk] = True
            self.owed[desk] += unpaid
        self._recorded(desk, sequence=reply.wal_sequence)

    def _collect(self, desk: str, reply: Any) -> None:
        """What is owed is paid out of what is free."""
        collected = min(self.owed[desk], self._free(desk))
        assert (reply.collected_microcents or 0) == collected
        self.committed[desk] += collected
        self.owed[desk] -= collected
        if collected and not self.owed[desk]:
            self.halted[desk] = False

    def _alive_orphans(self) -> dict[tuple[str, str, str], tuple[Any, Any]]:
        now_ns = self.guard.now_ns
        return {
            key: (wanted, reply)
            for key, (wanted, reply, until_ns) in self.orphans.items()
            if until_ns > now_ns
        }

    @rule(desk=DESKS, name=NAMES)
    def send_cancel(self, desk: str, name: str) -> None:
        found = self._find(desk, name)
        canceled = self._canceled(desk, name)
        reply = self.guard.submit(cancel(name, desk))
        if canceled is not None:
            assert reply == structs.replace(canceled, repeat=True)
        elif found is None:
            assert (reply.flags, reply.released_microcents) == (["early"], 0)
            until_ns = self.guard.now_ns + WINDOW_S * SECOND_NS + 1
            self.canceled[(desk, name)] = (reply, until_ns)
            self._recorded(desk)
        elif found.phase in ("filled", "refused"):
            assert reply.code == f"order_{found.phase}"
        elif found.phase == "canceled":
            assert reply == structs.replace(found.released, repeat=True)
        else:
            assert (reply.released_microcents, reply.repeat) == (found.hold, False)
            found.hold, found.released = 0, reply
            self._collect(desk, reply)
            self._close(found, "canceled")
            self._recorded(desk)

    @rule(desk=DESKS, name=NAMES)
    def ask_status(self, desk: str, name: str) -> None:
        found = self._find(desk, name)
        reply = self.guard.submit(status(name, desk))
        if found is None:
            assert (reply.state, reply.answer) == ("unknown", None)
            return
        word = "closed" if found.phase in ("filled", "canceled") else found.phase
        is_open = found.phase == "open"
        assert (reply.state, reply.answer) == (word, found.first)
        assert reply.filled_quantity == found.filled
        assert reply.open_quantity == (found.wanted.quantity - found.filled if is_open else 0)
        assert reply.hold_microcents == found.hold

    @rule(desk=DESKS)
    def resume(self, desk: str) -> None:
        self.guard.log(resume_event(desk, actor(self.guard.now_ns)))
        self.halted[desk] = False
        self.owed[desk] = 0
        self._recorded()

    @rule(step_ns=st.sampled_from([1, SECOND_NS, 5 * SECOND_NS, 10 * SECOND_NS, 11 * SECOND_NS]))
    def time_passes(self, step_ns: int) -> None:
        self.guard.now_ns += step_ns

    @invariant()
    def the_books_are_the_oracles(self) -> None:
        check_conservation(self.guard.engine.state)
        for desk in BUDGETS:
            expected = (self._free(desk), self._reserved(desk), self.committed[desk])
            assert balances(self.guard.engine.state, desk) == expected
            assert self.guard.engine.state.desks[desk].is_halted == self.halted[desk]

    def teardown(self) -> None:
        records = self.guard.records
        assert describe(fold(records).state) == describe(self.guard.engine.state)
        assert replay_bytes(records) == records


TestEngineMachine = EngineMachine.TestCase
TestEngineMachine.settings = settings(max_examples=played(60), stateful_step_count=60)


def test_a_ping_is_answered_without_a_record() -> None:
    guard = LoggedEngine()
    outcome = Outcome()
    assert guard.engine.decide(fields_of(Ping(), T0), outcome) is False
    assert outcome.kind == OutcomeKind.PONG


def test_the_engine_numbers_its_outcomes() -> None:
    guard = LoggedEngine()
    assert guard.engine.next_sequence == 8
    assert [guard.admit(order(f"A-{n}", quantity=1)).wal_sequence for n in range(3)] == [8, 9, 10]
    guard.submit(order("A-0", quantity=1))
    assert guard.engine.next_sequence == 11


def test_a_day_folded_and_decided_again_is_the_same() -> None:
    day = trading_day()
    assert describe(fold(day.records).state) == describe(day.state)
    assert replay_bytes(day.records) == day.records


@pytest.mark.parametrize(
    ("make", "kind"),
    [(lambda: order(), Admit), (lambda: order(risk_bps=10_000), Reject)],
)
def test_deciding_twice_gives_the_same_bytes(make: Callable[[], Any], kind: type) -> None:
    guard = LoggedEngine()
    origin = Origin(guard.now_ns, "local", 8)
    decisions = [decide(guard.engine, make(), origin) for _ in range(2)]
    assert all(isinstance(decided, Decided) for decided in decisions)
    one, two = (encode_data(decided) for decided in decisions)  # type: ignore[arg-type]
    assert one == two
    assert isinstance(decisions[0].outcome.answer, kind)  # type: ignore[union-attr]
