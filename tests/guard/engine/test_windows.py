"""Windows that shrink and grow: what decide takes for remembered is what apply finds remembered.

The settings may change at any start, and with them how long an id or a fill is remembered, so the
times at which things may be forgotten do not follow the order in which they came. Whatever decide
makes a record of, apply must be able to fold, now and in every later fold of that log.
"""

import itertools
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from form_support import played
from guard.engine.engine import Engine
from guard.engine.events import Decided, Outcome
from guard.engine.remembered import NEVER
from guard.engine.request_events import FillRecorded
from guard.engine.row_map import NO_ROW
from guard.protocol.messages import Cancel, Fill, Request
from guard.recovery.checkpoint_payload import state_digest_hex
from guard.replay.replay import replay_log
from guard_support import (
    KEY,
    SECOND_NS,
    T0,
    LoggedEngine,
    apply,
    cancel,
    decide,
    describe,
    fields_of,
    fill,
    fold,
    order,
    write_log,
)
from guard_windows_support import reloaded, settings
from reference.origin import Origin
from wal import ChainHasher

HASHER = ChainHasher(KEY)
HISTORIES = 150
STEPS = 120


def unknown_fill(fill_id: str, **changes: Any) -> Fill:
    return fill(fill_id, **{"client_order_id": f"nobody-{fill_id}", **changes})


def test_a_fill_sent_again_behind_a_shorter_window_is_a_repeat() -> None:
    """The fill came under the short window, behind one that is remembered for longer."""
    engine = LoggedEngine()
    settings(engine, 3_600)
    first = engine.submit(unknown_fill("F-1"))
    settings(engine, 1)
    second = engine.submit(unknown_fill("F-2"), T0 + SECOND_NS)
    again_ns = T0 + 5 * SECOND_NS
    for state in (engine.state, reloaded(engine.state)):
        engine.engine.state = state
        for fill_id, answer in (("F-2", second), ("F-1", first)):
            repeated = engine.submit(unknown_fill(fill_id), again_ns)
            assert repeated.repeat is True
            assert repeated.wal_sequence == answer.wal_sequence
    # With the first one forgotten nothing keeps the second.
    recorded = engine.submit(unknown_fill("F-2"), T0 + 3_600 * SECOND_NS)
    assert (recorded.repeat, recorded.wal_sequence) == (False, engine.engine.next_sequence - 1)


def test_what_came_before_the_longest_remembered_goes_in_its_own_time() -> None:
    engine = LoggedEngine()
    settings(engine, 1)
    engine.submit(unknown_fill("F-1"))
    settings(engine, 3_600)
    engine.submit(unknown_fill("F-2"))
    settings(engine, 1)
    engine.submit(unknown_fill("F-3"))
    at_ns = T0 + 2 * SECOND_NS
    for state in (reloaded(engine.state), engine.state):
        engine.engine.state = state
        assert engine.submit(unknown_fill("F-3"), at_ns).repeat is True
    assert engine.submit(unknown_fill("F-1"), at_ns).repeat is False


def test_what_is_pushed_out_keeps_nothing_behind_it() -> None:
    """Beyond the most that are remembered the oldest goes, whenever it would have expired."""
    engine = LoggedEngine(rules_version=1)
    settings(engine, 3_600, orders_max=2)
    engine.submit(unknown_fill("F-1"))
    settings(engine, 1, orders_max=2)
    engine.submit(unknown_fill("F-2"))
    engine.submit(unknown_fill("F-3"))  # the first one goes
    at_ns = T0 + 2 * SECOND_NS
    reload = reloaded(engine.state)
    assert state_digest_hex(reload) == state_digest_hex(engine.state)
    for state in (reload, engine.state):
        asked = fields_of(unknown_fill("F-3"), at_ns)
        assert state.orders.find_fill(asked, at_ns) == NO_ROW
    assert engine.submit(unknown_fill("F-2"), at_ns).repeat is False
    assert engine.submit(unknown_fill("F-3"), at_ns).repeat is False


def test_a_fill_of_an_order_that_came_later_is_told_from_its_orphan() -> None:
    """The fill was recorded of no order; then its order came, and the fill once more."""
    engine = LoggedEngine(rules_version=1)
    settings(engine, 3_600)
    engine.submit(unknown_fill("F-1"))
    settings(engine, 1)
    engine.submit(fill("F-2"))
    engine.admit(order())
    at_ns = T0 + 2 * SECOND_NS
    assert engine.submit(fill("F-2"), at_ns).repeat is True
    assert engine.submit(fill("F-3"), at_ns).open_quantity == 60


@pytest.mark.parametrize("at_ns", [NEVER - 2 * SECOND_NS, NEVER - 2, NEVER - 1])
def test_the_last_times_that_an_integer_holds(at_ns: int) -> None:
    """What would expire beyond them expires with them."""
    engine = LoggedEngine()
    engine.admit(order(), at_ns)
    engine.submit(unknown_fill("F-1"), at_ns)
    engine.reject(order("A-2", risk_bps=10_000), at_ns)
    engine.submit(cancel(), at_ns)
    engine.admit(order("A-3"), at_ns)
    for request in (order(), order("A-2"), unknown_fill("F-1"), order("A-3")):
        engine.submit(request, at_ns)


class History:
    """A random history of one desk's few ids, its seed printed where it fails."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.logged = LoggedEngine()
        self.logged.is_checked = False  # each step would be described whole
        self.names = [f"A-{number}" for number in range(self.random.choice((3, 12)))]
        self.windows = self.random.choice(((1, 3_600), (1, 2, 5, 40), (1, 31_536_000)))

    def step(self) -> None:
        chance, logged = self.random, self.logged
        kind = chance.choice(("order", "order", "fill", "fill", "cancel", "wait", "wait", "start"))
        if kind == "start":
            settings(logged, chance.choice(self.windows), chance.choice((1, 2, 4, 1_000)))
            if chance.random() < 0.5:
                logged.engine.state = reloaded(logged.state)
        elif kind == "wait":
            logged.now_ns += chance.choice((0, 1, SECOND_NS - 1, SECOND_NS, 3 * SECOND_NS))
            if chance.random() < 0.05:
                logged.now_ns += chance.choice((3_600, 40_000_000)) * SECOND_NS
        else:
            logged.submit(self.request(kind))

    def request(self, kind: str) -> Request:
        chance, name = self.random, self.random.choice(self.names)
        if kind == "cancel":
            return Cancel("desk-alpha", name)
        if kind == "fill":
            fill_id = chance.choice(("F-1", "F-2", "F-3"))
            return fill(fill_id, chance.choice((40, 60)), 0, client_order_id=name)
        sent_at_ns = chance.choice((None, self.logged.now_ns, self.logged.now_ns - SECOND_NS))
        risk_bps = chance.choice((200, 200, 10_000))
        return order(name, quantity=100, price=1, risk_bps=risk_bps, sent_at_ns=sent_at_ns)


@pytest.mark.parametrize("first_seed", range(0, HISTORIES, 30))
def test_random_histories_are_decided_as_they_are_applied(first_seed: int, tmp_path: Path) -> None:
    for seed in range(first_seed, first_seed + played(30)):
        history = History(seed)
        for step in range(STEPS):
            try:
                history.step()
            except Exception as error:
                raise AssertionError(f"seed {seed}, step {step}: {error}") from error
        logged = history.logged
        directory = tmp_path / str(seed)
        write_log(directory, logged.records)
        replayed = replay_log(directory, HASHER).engine.state
        for state in (replayed, fold(logged.records).state, reloaded(logged.state)):
            assert describe(state) == describe(logged.state), f"seed {seed}"


def outcomes_until(engine: Engine, requests: Iterator[tuple[Request, int]]) -> list[Outcome]:
    """What each of these requests was recorded as, at its time."""
    recorded = []
    for request, at_ns in requests:
        decided = decide(engine, request, Origin(at_ns, "local", engine.next_sequence))
        if isinstance(decided, Decided):
            apply(engine, engine.next_sequence, decided.outcome)
            recorded.append(decided.outcome)
    return recorded


def test_every_instant_around_an_expiry() -> None:
    """Two orphans, two windows, and each of them sent again at every nanosecond that matters."""
    ends = (SECOND_NS, 2 * SECOND_NS)
    instants = [T0 + end + by for end in ends for by in (-1, 0, 1, 2)]
    for first_s, second_s in itertools.product((1, 2), repeat=2):
        for at_ns in instants:
            logged = LoggedEngine()
            settings(logged, first_s)
            logged.submit(unknown_fill("F-1"))
            settings(logged, second_s)
            logged.submit(unknown_fill("F-2"))
            again = iter([(unknown_fill("F-2"), at_ns), (unknown_fill("F-1"), at_ns)])
            recorded = outcomes_until(logged.engine, again)
            is_gone = {"F-1": at_ns >= T0 + first_s * SECOND_NS}
            is_gone["F-2"] = is_gone["F-1"] and at_ns >= T0 + second_s * SECOND_NS
            assert [
                event.fill.fill_id for event in recorded if isinstance(event, FillRecorded)
            ] == [name for name in ("F-2", "F-1") if is_gone[name]]
