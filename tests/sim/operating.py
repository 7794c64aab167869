"""The admin door in the simulator: what operators send, when it arrives, what must be answered.

Owns the requests on their way. Some are lost, doubled and delayed, as at the orders' door; what was
sent is sent again, also to the next life. The door's own callbacks run a few at a time, so that
orders and syncs come between two steps of a day's close. What the oracle is not asked for it is
told of where it happens: the orders that a close releases, and its end.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Any

import msgspec

from guard.admin.messages import CloseDay, Rotate, TakeCheckpoint
from guard.engine.actor import Actor
from guard.engine.events import DayClosed, HoldFreed
from guard.engine.state import GuardState
from guard.recovery.checkpoint_schedule import Checkpointer
from guard.server.admin_door import AdminDoor
from guard.server.closing import DayCloser
from guard.server.pipeline import Pipeline
from sim.disk import ViolationError
from sim.gateway import SimGateway, SimLoop
from sim.operators import Action, Operators
from sim.oracle import Oracle, WrongError
from wal import LogWriter

RELEASES_PER_TURN = 1  # so that much comes between them


class NotedPipeline:
    """The pipeline, as the door has it: of each record the oracle hears first."""

    def __init__(self, pipeline: Pipeline, noting: Callable[[Any], None]) -> None:
        self._pipeline = pipeline
        self._noting = noting
        self.when_durable = pipeline.when_durable

    @property
    def is_stopping(self) -> bool:
        return self._pipeline.is_stopping

    def record(self, event: Any) -> None:
        self._noting(event)
        self._pipeline.record(event)


class Operating:
    """All that operators do in one history; nothing where it is not used."""

    def __init__(
        self,
        rng: random.Random,
        operators: Operators,
        oracle: Oracle,
        hit: Callable[[str], None],
        note: Callable[[str], None],
        *,
        is_used: bool,
    ) -> None:
        self._rng = rng
        self._operators = operators
        self._oracle = oracle
        self._hit = hit
        self._note = note
        self._is_used = is_used
        self._actions: list[Action] = []
        self.replies = 0
        self._wall_ns: Callable[[], int]
        self._begin()

    def _begin(self) -> None:
        self.gateway = SimGateway(self._taken, self._sent)
        self.loop = SimLoop()
        self._network: list[int] = []
        self._expected: dict[int, list[tuple[Action, int]]] = {}
        self._door: AdminDoor | None = None

    def open(
        self,
        pipeline: Pipeline,
        state: GuardState,
        writer: LogWriter,
        checkpointer: Checkpointer,
        wall_ns: Callable[[], int],
        actor: Callable[[str, str], Actor],
        published: Callable[[], int | None],
    ) -> None:
        """A life begins. `published`: the anchor's record, where replies wait for it."""
        self._begin()
        self._wall_ns, self._published = wall_ns, published
        noted: Any = NotedPipeline(pipeline, self._recorded)
        listener: Any = self.gateway

        def end_day() -> None:
            writer.rotate()
            checkpointer.request()

        asyncio._set_running_loop(self.loop)  # type: ignore[arg-type]
        try:
            closer = DayCloser(
                state, noted, lambda: self._oracle.releases_day_orders, RELEASES_PER_TURN
            )
            self._door = AdminDoor(
                listener,
                noted,
                state,
                actor=actor,
                health=_not_asked,
                stats=_not_asked,
                acts={
                    TakeCheckpoint: checkpointer.request,
                    Rotate: writer.rotate,
                    CloseDay: end_day,
                },
                closer=closer,
                say=lambda _text: None,
            )
            self._door.start()
        finally:
            asyncio._set_running_loop(None)

    def step(self) -> None:
        """Operators send, the network brings some of it, the door takes some of that."""
        rng, oracle = self._rng, self._oracle
        if not self._is_used or oracle.rules_version < 3:
            return
        if rng.random() < 0.6:
            action = self._operators.next_action(
                list(oracle.said), oracle.open_keys(), oracle.set_latches()
            )
            self._post(action)
            is_close = action["type"] == "close_day" and "wrong" not in action
            if is_close and rng.random() < 0.3:
                self._post(self._operators.next_day(action))
        for number in [n for n in self._network if rng.random() < 0.6]:
            self._network.remove(number)
            fate = rng.random()
            if fate > 0.05:  # else lost on the way
                self._arrive(number)
            if fate > 0.85:  # twice at once, or later
                self._network.append(number)
            if fate > 0.95:
                self._arrive(number)
        self.listen(rng.choice((1, 2, 9)))

    def listen(self, turns_max: int) -> None:
        """The door takes what has arrived, and goes on with what it has begun."""
        if self.loop.reader is not None and self.gateway.arrived:
            self.loop.reader()
        while self.loop.ready and turns_max:
            turns_max -= 1
            self.loop.ready.popleft()()

    def stop(self) -> None:
        """A clean stop: takes no more."""
        if self._door is not None:
            self._door.stop()

    def ask_again(self) -> None:
        """All that was ever done, as it was asked for: repeats alone."""
        if not self._is_used:
            return
        for asked in self._oracle.repeats_of_actions(self._wall_ns()):
            self._arrive(self._keep({**asked, "by": "Eve", "why": "was it done?"}))
            self.listen(9)
        for kind in ("desks", "locates", "accounts"):
            self._arrive(self._keep({"type": kind}))
            self.listen(9)
        if any(self._expected.values()):
            raise ViolationError(f"operators wait for {self._expected}")

    def _keep(self, action: Action) -> int:
        self._actions.append(action)
        return len(self._actions) - 1

    def _post(self, action: Action) -> None:
        if self._rng.random() < 0.5:
            action = {**action, "request_id": self._rng.randrange(1_000)}
        self._network.append(self._keep(action))

    def _arrive(self, number: int) -> None:
        self.gateway.arrived.append((number, self._operators.encode(self._actions[number])))

    def _taken(self, number: int) -> None:
        self._hit("an operator is heard")
        expected = self._oracle.act(self._actions[number], self._wall_ns())
        as_of = self._oracle.next_sequence - 1
        self._expected.setdefault(number, []).append((expected, as_of))
        self._note(f"operator {number}: {self._actions[number]}, as of {as_of}")

    def _sent(self, number: int, body: bytes) -> None:
        self._hit("an operator is answered")
        decode = msgspec.json.decode if body[:1] == b"{" else msgspec.msgpack.decode
        found: Any = decode(body)
        self._note(f"operator {number} is told: {found}")
        self.replies += 1
        expected, as_of = self._expected[number].pop(0)
        as_of = max(as_of, expected.get("wal_sequence") or 0)
        published = self._published()
        if published is not None and published < as_of:
            raise ViolationError(f"answered as of {as_of}, the anchor has {published}")
        changes = found.pop("changes", None)
        if changes == [] and not found.get("repeat"):
            raise WrongError(f"an action changes nothing: {found}")
        self._oracle.check(expected, found, self._actions[number].get("request_id"), as_of)

    def _recorded(self, event: Any) -> None:
        """The door has an event recorded: of a day's close the oracle hears now."""
        self._hit("before an action's record")
        if isinstance(event, DayClosed):
            self._oracle.end_day(self._wall_ns())
        elif isinstance(event, HoldFreed) and not event.action_id:
            key = (event.desk, event.client_order_id)
            freed = self._oracle.release(key, self._wall_ns())
            if freed != (event.released_microcents, event.collected_microcents or 0):
                raise WrongError(f"{key}: expected {freed}, found {event}")


def _not_asked() -> Any:
    raise AssertionError("nobody asks for that here")
