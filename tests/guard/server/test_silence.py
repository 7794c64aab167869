"""Clients that have to show signs of life: counted while we read, let on by a person alone."""

from pathlib import Path
from typing import Any

import pytest

from guard.config.clients import ClientTerms
from guard.config.file import ConfigError
from guard.engine.events import Outcome as Event
from guard.engine.people_events import LatchLifted
from guard.protocol.messages import Admit
from guard.server.clients import Clients
from guard.server.permits import Permit
from guard.server.silence import LATE_NS, SilenceWatch
from guard_support import SECOND_NS, LoggedEngine, actor, dev_config, fill, order
from request_path_support import Guard


def permit(
    name: str = "algo", desks: Any = frozenset({"desk-alpha"}), silence_s: int = 3
) -> Permit:
    terms = ClientTerms(
        name, name, None, len(name), desks, frozenset(), halt_on_silence_s=silence_s or None
    )
    return Permit(terms)


class Watched:
    """A guard whose looks come when a test says."""

    def __init__(self, *permits: Permit) -> None:
        self.engine, self.now_ns, self.is_held_up = LoggedEngine(), 0, False
        self.permits = list(permits)
        self.recorded: list[Event] = []
        self.watch = SilenceWatch(
            self.engine.state,
            lambda: self.permits,
            is_held_up=lambda: self.is_held_up,
            record=self.record,
            actor=lambda why: actor(0, self.engine.state.next_sequence, "local", why),
            monotonic_ns=lambda: self.now_ns,
        )

    def record(self, event: Any) -> None:
        self.recorded.append(event)
        self.engine.log(event)

    def look(self, times: int = 1, after_ns: int = SECOND_NS) -> int:
        for _ in range(times):
            self.now_ns += after_ns
            self.watch.look()
        return len(self.recorded)

    def lift(self, desk: str = "desk-alpha") -> None:
        self.engine.log(actor().event(LatchLifted, desk=desk, symbol="", latch="silence"))


def test_it_may_be_silent_so_long_and_no_longer() -> None:
    guard = Watched(permit())
    assert guard.look(3) == 0  # three seconds are allowed
    assert guard.look() == 1
    (noted,) = guard.recorded
    assert getattr(noted, "why", "") == "client 'algo' has sent no ping for 4 s"
    assert guard.look(5) == 1  # once
    assert guard.engine.reject(order()).reason == "desk_reducing"
    assert isinstance(guard.engine.submit(order("B-1", desk="desk-beta", quantity=1)), Admit)


def test_exits_pass_and_open_orders_stay() -> None:
    guard = Watched(permit())
    guard.engine.admit(order())
    guard.engine.submit(fill("F-1", 60, fee=0))
    guard.look(4)
    assert guard.engine.state.orders.find_open(0, guard.engine.state.orders.row_end()) >= 0
    assert guard.engine.admit(order("S-1", side="sell", quantity=60)).reducing is True


def test_a_ping_begins_the_count_anew() -> None:
    one = permit()
    guard = Watched(one)
    for _ in range(10):
        assert guard.look(3) == 0
        one.pings += 1
        assert guard.look() == 0
    assert guard.look(4) == 1


@pytest.mark.parametrize("after_ns", [LATE_NS + 1, 3600 * SECOND_NS])
def test_what_nobody_read_is_no_silence(after_ns: int) -> None:
    guard = Watched(permit())
    assert guard.look(100, after_ns) == 0
    guard.is_held_up = True
    assert guard.look(100) == 0
    guard.is_held_up = False
    assert guard.look(3) == 0
    assert guard.look() == 1


def test_a_person_lets_it_on_once_it_is_back() -> None:
    one = permit()
    guard = Watched(one)
    guard.look(4)
    guard.lift()
    assert guard.look() == 2  # it is silent still
    one.pings += 1
    guard.look()
    assert guard.engine.reject(order()).reason == "desk_reducing"  # nothing lifts itself
    guard.lift()
    assert guard.look(3) == 2
    assert isinstance(guard.engine.admit(order("A-2")), Admit)


def test_of_all_desks_it_is_the_firm_s() -> None:
    guard = Watched(permit(desks=None))
    guard.look(4)
    assert guard.engine.reject(order()).reason == "firm_reducing"
    assert len(guard.recorded) == 1


def test_each_by_itself_and_one_that_is_gone_is_forgotten() -> None:
    one, other = permit(), permit("other", frozenset({"desk-beta", "desk-gone"}), 5)
    guard = Watched(one, other)
    assert guard.look(4) == 1
    assert guard.look(2) == 2  # of the desk that there is
    guard.permits = [one]
    guard.lift("desk-beta")
    assert guard.look(20) == 2
    guard.permits = [one, other]
    assert guard.look(5) == 2
    assert guard.look(2) == 3


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("halt_on_silence_s = 1", "halt_on_silence_s"),
        ("halt_on_silence_s = 86401", "halt_on_silence_s"),
        ('halt_on_silence_s = 5\ndesks = []\nmay = ["stats"]', "allowed: of a client with `desks`"),
    ],
)
def test_terms_that_cannot_be(line: str, words: str) -> None:
    ipc = ('orders = "tcp://127.0.0.1:7001"', 'orders = "ipc://@silence-test"')
    with pytest.raises(ConfigError, match=words):
        dev_config(("[settings]", f"[clients.a]\nuser = 1\n{line}\n[settings]"), ipc)


def test_only_pings_of_the_client_s_own_are_signs_of_life(tmp_path: Path) -> None:
    one, other = permit(), permit("other")
    clients = Clients([one.terms, permit("free-one", silence_s=0).terms])
    assert [each.name for each in clients.bound_to_silence()] == ["algo"]
    path = Guard(tmp_path, dev_config()).path
    path.answer(b'{"type":"ping"}', 1, one)
    path.answer(b'[{"type":"ping"},{"type":"stats"}]', 1, one)
    path.answer(b'{"type":"hello"}', 1, one)
    path.answer(b'{"type":"ping"}', 1, other)
    path.answer(b'{"type":"ping"}', 1, None)
    assert (one.pings, other.pings) == (2, 1)
