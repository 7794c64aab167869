"""One seed, one history of the slices of a firm: guards, their table, and all that goes wrong.

Nothing but the seed decides. Messages are lost, doubled, late, and overtake each other; guards
crash, are stopped and go on, are cut off; each is followed by a successor, often while it is still
there; the database fails over, or restarts, and loses what no quorum had; a person gives the firm
more, and less. Behind each step `SlicesOracle` looks. Then all is well for a while, everything is
returned, and nothing may be missing.
"""

import hashlib
import heapq
import random
from collections import deque
from collections.abc import Callable
from typing import Any

from guard.cluster.slices import Answer, Message
from sim.disk import ViolationError
from sim.slices_cluster import Cluster, LogRecord
from sim.slices_guard import MS, Guard
from sim.slices_oracle import SlicesOracle

SECOND = 1_000 * MS
DESK_GUARDS, PER_GUARD = 25, 60  # so many guards share a desk; of a firm's resource, for each
TRACE_LINES, WHOLE_CHECK_STEPS = 400, 5_000
HEAL_S, DRAIN_S = 15, 40
# How often in a second, for each guard, and for the database.
GUARD_FAULTS = {"crash": 0.01, "stop": 0.01, "cut": 0.01, "replace": 0.004}
FAILOVERS_PER_S = 0.15
LOST, DOUBLED, LATE = 0.05, 0.05, 0.03


class SlicesWorld:
    """Everything of one seed."""

    def __init__(self, seed: int, guard_count: int, faulty_s: int) -> None:
        self.rng = random.Random(seed)
        self.faulty_s = faulty_s
        self.now_ns = 0
        self.steps = self.messages = self.admitted = self.takeovers = self.deaths = 0
        self.has_faults = True
        self.is_draining = False
        self._is_stalled = False  # no quorum follows
        self.trace: deque[str] = deque(maxlen=TRACE_LINES)
        self._digest = hashlib.sha256()
        self._queue: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._queued = self._orders = 0
        self._dirty: set[tuple[str, str]] = set()
        self.oracle = SlicesOracle()
        self.cluster = Cluster(self.oracle, self.touched)
        names = [f"guard-{number}" for number in range(guard_count)]
        self.resources = {
            name: ["limit/firm", f"budget/desk-{place // DESK_GUARDS}"]
            for place, name in enumerate(names)
        }
        self.guards: dict[str, list[Guard]] = {name: [] for name in names}
        self._opening: set[str] = set()
        sharers: dict[str, int] = {}
        for resource in (each for some in self.resources.values() for each in some):
            sharers[resource] = sharers.get(resource, 0) + 1
        self.firm = {resource: count * PER_GUARD for resource, count in sharers.items()}
        for resource, total in self.firm.items():
            self.cluster.set_total(resource, total)
        self._settle_all()
        for name in names:
            self.at(self.rng.randrange(2 * SECOND), self.take_over, name)

    def make_guard(self, name: str, epoch: int) -> Guard:
        """A process, which has read its log."""
        return Guard(self, name, epoch, self.resources[name])

    def note(self, line: str) -> None:
        """One line of the trace."""
        line = f"{self.now_ns // MS} {line}"
        self.trace.append(line)
        self._digest.update(line.encode())

    @property
    def arrivals(self) -> int:
        """How many desks have moved."""
        return 0

    @property
    def digest(self) -> str:
        """Of the whole trace."""
        return self._digest.hexdigest()

    def at(self, delay_ns: int, call: Callable[..., None], *args: Any) -> None:
        """Is to happen then."""
        self._queued += 1
        heapq.heappush(self._queue, (self.now_ns + delay_ns, self._queued, call, args))

    def tick_ns(self) -> int:
        """Until a guard looks again."""
        return self.rng.randrange(600 * MS, 1_200 * MS)

    def next_order(self) -> int:
        """An id."""
        self._orders += 1
        return self._orders

    def touched(self, name: str, resource: str) -> None:
        """Something of that has changed: it is counted behind the step."""
        if resource:
            self._dirty.add((name, resource))
        else:
            self._dirty.update((name, each) for each in self.resources[name])

    # What is played.

    def run(self) -> None:
        """The whole history. Raises ViolationError."""
        self.at(SECOND, self._fault)
        self.at(0, self._settle)
        self._until(self.faulty_s * SECOND)
        self._heal()
        self._until(self.now_ns + HEAL_S * SECOND)
        self._check_nothing_lost("healed")
        self.is_draining = True
        self._until(self.now_ns + DRAIN_S * SECOND)
        self._check_nothing_lost("drained")
        self._check_drained()

    def _until(self, end_ns: int) -> None:
        while self._queue and self._queue[0][0] <= end_ns:
            self.now_ns, _, call, args = heapq.heappop(self._queue)
            call(*args)
            self.steps += 1
            self._check()
        self.now_ns = end_ns

    def _check(self) -> None:
        if not self._dirty:
            return
        resources = set()
        for name, resource in self._dirty:
            if name:
                self.oracle.count((name, resource), self._believed(name, resource))
                row = self.cluster.table.rows.get((name, resource))
                self.oracle.check_given((name, resource), 0 if row is None else row.given)
            resources.add(resource)
        self._dirty.clear()
        for resource in resources:
            found = self.cluster.table.resources[resource]
            self.oracle.check(resource, found.free, found.total)
        if self.steps % WHOLE_CHECK_STEPS == 0:
            self.oracle.check_whole(
                (name, resource) for name, some in self.resources.items() for resource in some
            )

    def _believed(self, name: str, resource: str) -> int:
        """What the guard believes to have whose epoch is in force."""
        epoch = self.cluster.table.epochs.get(name)
        serving = [each for each in self.guards[name] if each.is_alive and each.epoch == epoch]
        return max((each.in_force(resource) for each in serving), default=0)

    # The network and the database.

    def send(self, guard: Guard, message: Message) -> None:
        """A message of a guard to the table."""
        for delay_ns in self.ways():
            self.at(delay_ns, self._arrive, guard, message)

    def ways(self) -> list[int]:
        """When it arrives, how often: none where it is lost."""
        self.messages += 1
        if not self.has_faults:
            return [self.rng.randrange(MS, 20 * MS)]
        if self.rng.random() < LOST:
            return []
        count = 2 if self.rng.random() < DOUBLED else 1
        return [
            self.rng.randrange(MS, 8 * SECOND if self.rng.random() < LATE else 50 * MS)
            for _ in range(count)
        ]

    def _arrive(self, guard: Guard, message: Message) -> None:
        if guard.is_cut or not self.cluster.is_up:
            return

        def done(answer: Answer) -> None:
            for delay_ns in self.ways():
                self.at(delay_ns, self._hear, guard, answer, processed_ns)

        processed_ns = self.now_ns
        self.cluster.contact(message, done)

    def _hear(self, guard: Guard, answer: Answer, processed_ns: int) -> None:
        if not guard.is_cut:
            guard.hear(answer, processed_ns)

    def commit(self, guard: Guard, batch: list[LogRecord]) -> None:
        """A guard's batch, over a connection of its own: it comes once, or breaks."""
        self.at(self.rng.randrange(MS, 20 * MS), self._commit, guard, batch)

    def _commit(self, guard: Guard, batch: list[LogRecord]) -> None:
        def unknown() -> None:
            self.at(self._patience(), guard.end, "does not know of a commit")

        if guard.is_cut or not self.cluster.is_up:
            unknown()
        elif not self.cluster.commit(
            guard.name, guard.epoch, batch, lambda: self._committed(guard), unknown
        ):
            self.at(self.rng.randrange(MS, 20 * MS), guard.end, "is fenced by its log")

    def _committed(self, guard: Guard) -> None:
        if guard.is_cut:
            self.at(self._patience(), guard.end, "does not hear of a commit")
        else:
            self.at(self.rng.randrange(MS, 5 * MS), guard.committed)

    def _patience(self) -> int:
        return self.rng.randrange(10 * MS, 3 * SECOND)

    def _settle(self) -> None:
        """The quorum follows, in order."""
        if self.cluster.is_up and not self._is_stalled:
            for _ in range(self.rng.randint(1, 1 + len(self.cluster.waiting))):
                self.cluster.settle_one()
        self.at(self.rng.randrange(MS, 6 * MS), self._settle)

    def _settle_all(self) -> None:
        while self.cluster.waiting:
            self.cluster.settle_one()

    # What goes wrong, and who comes behind.

    def _fault(self) -> None:
        """A tenth of a second of bad luck."""
        if not self.has_faults:
            return
        rng, share = self.rng, 0.1
        for kind, per_s in GUARD_FAULTS.items():
            for _ in range(self._drawn(per_s * share * len(self.guards))):
                name = rng.choice(list(self.guards))
                if self.guards[name]:
                    self._harm(self.guards[name][-1], kind)
        is_well = self.cluster.is_up and not self._is_stalled
        if is_well and rng.random() < FAILOVERS_PER_S * share:
            self._is_stalled = True
            self.at(rng.randrange(SECOND), self._fail_over)
        if rng.random() < 0.05:
            resource = rng.choice(list(self.firm))
            total = self.firm[resource] * rng.randint(50, 120) // 100
            if self.cluster.is_up:
                self.note(f"{resource}: {total}")
                self.cluster.set_total(resource, total)
        self.more_faults()
        self.at(int(share * SECOND), self._fault)

    def more_faults(self) -> None:
        """What else happens at random."""

    def _drawn(self, expected: float) -> int:
        whole = int(expected)
        return whole + (self.rng.random() < expected - whole)

    def _harm(self, guard: Guard, kind: str) -> None:
        rng = self.rng
        if not guard.is_alive:
            return
        self.note(f"{guard.name}.{guard.epoch} {kind}")
        if kind == "crash":
            guard.end("crashed")
            return
        for_ns = rng.randrange(100 * MS, 12 * SECOND)
        if kind == "stop":
            guard.stopped_until_ns = self.now_ns + for_ns
        elif kind == "cut":
            guard.is_cut = True
            self.at(for_ns, self._rejoin, guard)
            if guard.in_flight:
                self.at(self._patience(), guard.end, "lost its connection")
        if kind == "replace" or rng.random() < 0.6:
            self.at(rng.randrange(200 * MS, 4 * SECOND), self.take_over, guard.name)

    def _rejoin(self, guard: Guard) -> None:
        guard.is_cut = False

    def _fail_over(self) -> None:
        """The quorum has not followed for a while; now the primary is gone."""
        if not self.has_faults:
            return
        waiting = len(self.cluster.waiting)
        surviving = self.rng.choice((0, waiting, self.rng.randint(0, waiting)))
        self.note(f"failover: {surviving} of {waiting} survive")
        self.cluster.fail_over(surviving)
        self._is_stalled = self.cluster.is_up = False
        self.at(self.rng.randrange(50 * MS, 4 * SECOND), self._is_up)

    def _is_up(self) -> None:
        self.cluster.is_up = True

    def ended(self, guard: Guard) -> None:
        """A guard is gone: somebody comes, if it was the last."""
        self.deaths += 1
        self.touched(guard.name, "")
        if guard is self.guards[guard.name][-1]:
            self.at(self.rng.randrange(200 * MS, 4 * SECOND), self._replace, guard)

    def _replace(self, guard: Guard) -> None:
        if guard is self.guards[guard.name][-1]:
            self.take_over(guard.name)

    def take_over(self, name: str) -> None:
        """The next epoch of a guard's log, then a guard that has read it."""
        if name in self._opening:
            return
        if not self.cluster.is_up:
            self.at(self.rng.randrange(100 * MS, SECOND), self.take_over, name)
            return
        self._opening.add(name)

        def done() -> None:
            self._opening.discard(name)
            self.takeovers += 1
            self.note(f"{name}.{epoch} serves")
            alive = [each for each in self.guards[name] if each.is_alive]
            guard = self.make_guard(name, epoch)
            self.guards[name] = [*alive, guard]
            self.touched(name, "")
            self.at(self.rng.randrange(5 * MS), guard.tick)

        def lost() -> None:
            if name in self._opening:
                self._opening.discard(name)
                self.at(self.rng.randrange(100 * MS, SECOND), self.take_over, name)

        epoch = self.cluster.open_epoch(name, done, lost)

    # The end.

    def _heal(self) -> None:
        self.note("healed")
        self.has_faults = self._is_stalled = False
        self.cluster.is_up = True
        for name, guards in self.guards.items():
            for guard in guards:
                guard.is_cut = False
                guard.stopped_until_ns = min(guard.stopped_until_ns, self.now_ns)
            if not any(guard.is_alive for guard in guards):
                self.take_over(name)
        for resource, total in self.firm.items():
            self.cluster.set_total(resource, total)

    def _check_nothing_lost(self, when: str) -> None:
        """Where nothing is under way, each side has what the other says."""
        table = self.cluster.table
        moving = set()  # of which something is under way
        for name in self.guards:
            serving = [each for each in self.guards[name] if each.is_alive]
            if len(serving) != 1 or serving[0].holder.broken is not None:
                broken = [each.holder.broken for each in serving]
                raise ViolationError(f"{when}: {name} is served by {len(serving)}: {broken}")
            for resource in self.resources[name]:
                holding, row = serving[0].holder.holding(resource), table.rows[name, resource]
                is_quiet = serving[0].holder.may_give_back(resource) and not (
                    serving[0].staged or serving[0].in_flight
                )
                if not is_quiet or row.granted_number != holding.granted_number:
                    moving.add((name, resource))
                elif not row.given == holding.in_force == self.oracle.in_log[name, resource]:
                    raise ViolationError(f"{when}: {name}, {resource}: {row} and {holding}")
        if self.is_draining and moving:
            raise ViolationError(f"{when}: still under way: {sorted(moving)[:3]}")
        for resource, found in table.resources.items():
            given = sum(row.given for key, row in table.rows.items() if key[1] == resource)
            is_settled = found.total == self.firm[resource] or not self.is_draining
            if given + found.free != found.total or not is_settled:
                raise ViolationError(f"{when}: {resource}: {given} given, {found}")

    def _check_drained(self) -> None:
        """All that is not spent is back."""
        for (name, resource), in_log in self.oracle.in_log.items():
            if in_log != self.oracle.spent[name, resource]:
                raise ViolationError(
                    f"{name}, {resource}: {in_log} granted still, "
                    f"{self.oracle.spent[name, resource]} spent"
                )
