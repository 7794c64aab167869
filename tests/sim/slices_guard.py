"""A guard of the slices' simulation: one process, of one epoch of its log.

Real is `guard.cluster.slices.Holder`. Simulated are orders, which hold amounts and spend a part of
them, and a log whose batches the cluster takes: what is staged counts for the guard at once, and is
answered when its batch is committed. Of a commit whose answer is lost nobody knows whether it was:
the process ends, and its successor reads the log.
"""

import random
from typing import TYPE_CHECKING

from guard.cluster.slices import Answer, Granted, Holder, SliceGranted, SliceReturned, TakenBack
from sim.disk import ViolationError
from sim.slices_cluster import Admitted, Closed, LogRecord

if TYPE_CHECKING:
    from sim.slices_world import SlicesWorld

MS = 1_000_000
CONTACT_NS_MAX = 3_000 * MS
LOW, CHUNK_MAX, ORDER_MAX, ORDERS_MAX = 12, 40, 9, 12


class Guard:
    """One process. `epoch`: of its log."""

    def __init__(self, world: "SlicesWorld", name: str, epoch: int, resources: list[str]) -> None:
        self.world = world
        self.name = name
        self.epoch = epoch
        self.resources = resources
        self.rng: random.Random = world.rng
        self.holder = Holder(name, epoch, CONTACT_NS_MAX)
        self.used = dict.fromkeys(resources, 0)
        self.open: dict[int, tuple[str, int]] = {}
        self.staged: list[LogRecord] = []
        self.in_flight: list[LogRecord] = []
        self.is_alive = True
        self.is_cut = False
        self.stopped_until_ns = 0
        self.processed_ns = -CONTACT_NS_MAX  # when the table did what it has answered last
        for record in world.cluster.logs.get(name, ()):
            self.apply(record)
        self.holder.recovered()

    def in_force(self, resource: str) -> int:
        """What it believes to have."""
        return self.holder.holding(resource).in_force

    def apply(self, record: LogRecord) -> None:
        """Folds a record, staged or read."""
        match record:
            case SliceGranted() | SliceReturned():
                self.holder.apply(record)
            case Admitted():
                self.open[record.order] = (record.resource, record.amount)
                self.used[record.resource] += record.amount
            case Closed():
                del self.open[record.order]
                self.used[record.resource] -= record.held - record.spent

    def stage(self, record: LogRecord) -> None:
        """A record of the next batch, which counts from now on."""
        self.apply(record)
        self.staged.append(record)
        self.world.touched(self.name, record.resource)

    def tick(self) -> None:
        """What is due: orders, the table, the log."""
        if not self.is_alive:
            return
        world = self.world
        if world.now_ns < self.stopped_until_ns:
            world.at(self.stopped_until_ns - world.now_ns, self.tick)
            return
        for resource in self.resources:
            self._orders(resource)
            self._talk(resource)
        self.more()
        self.flush()
        world.at(world.tick_ns(), self.tick)

    def more(self) -> None:
        """What else is due."""

    def _orders(self, resource: str) -> None:
        free = self.in_force(resource) - self.used[resource]
        is_reducing = self.holder.is_reducing(self.world.now_ns)
        amount = self.rng.randint(1, ORDER_MAX)
        may_enter = not (self.world.is_draining or is_reducing or len(self.open) >= ORDERS_MAX)
        if may_enter and amount <= free and self.rng.random() < 0.6:
            if self.world.now_ns - self.processed_ns > CONTACT_NS_MAX:
                raise ViolationError(f"{self.name}: an order, and the firm is not heard")
            order = self.new_order()
            if order is not None:
                self.stage(Admitted(resource, order, amount))
        for order, (of, held) in list(self.open.items()):
            if of == resource and (self.world.is_draining or self.rng.random() < 0.35):
                spent = held // 4 if self.rng.random() < 0.05 else 0
                self.stage(Closed(resource, order, held, spent))

    def new_order(self) -> int | None:
        """An order's id; None where nobody wants one."""
        return self.world.next_order()

    def needed(self) -> int:
        """What it must have free, beside what orders want."""
        return 0

    def _talk(self, resource: str) -> None:
        now_ns, holder = self.world.now_ns, self.holder
        told = holder.untold(resource, now_ns)
        if told is not None:
            self.world.send(self, told)
        free = self.in_force(resource) - self.used[resource]
        needed = self.needed()
        wants = 0 if free >= LOW or self.world.is_draining else self.rng.randint(1, CHUNK_MAX)
        wants, free = max(wants, needed - free, 0), free - needed
        self.world.send(self, holder.ask(resource, wants, now_ns))
        surplus = min(free, holder.wanted_back.get(resource, 0))
        if free > 3 * LOW and self.rng.random() < 0.3:
            surplus = max(surplus, free - 2 * LOW)
        if self.world.is_draining:
            surplus = free
        if surplus > 0 and holder.may_give_back(resource):
            self.stage(holder.give_back(resource, surplus, self.used[resource]))

    def hear(self, answer: Answer, processed_ns: int) -> None:
        """An answer of the table, late, doubled or in time."""
        if not self.is_alive:
            return
        if self.world.now_ns < self.stopped_until_ns:
            self.world.at(
                self.stopped_until_ns - self.world.now_ns, self.hear, answer, processed_ns
            )
            return
        if isinstance(answer, Granted | TakenBack) and answer.asked.epoch == self.epoch:
            self.processed_ns = max(self.processed_ns, processed_ns)
        record = self.holder.take(answer)
        if record is not None:
            self.stage(record)
            self.flush()
        self.world.touched(self.name, answer.asked.resource)
        broken = self.holder.broken
        if broken is not None and broken.code == "fenced":
            self.end("is fenced")

    def flush(self) -> None:
        """The staged records as a batch, if none is under way."""
        if self.in_flight or not self.staged or self.is_cut or not self.is_alive:
            return
        self.in_flight, self.staged = self.staged, []
        self.world.commit(self, self.in_flight)

    def committed(self) -> None:
        """The cluster has said that it has the batch: what it holds is answered."""
        if not self.is_alive:
            return
        if self.world.now_ns < self.stopped_until_ns:
            self.world.at(self.stopped_until_ns - self.world.now_ns, self.committed)
            return
        for record in self.in_flight:
            if isinstance(record, SliceGranted | SliceReturned):
                self.holder.durable(record)
            elif isinstance(record, Admitted):
                self.world.admitted += 1
        self.in_flight = []
        self.flush()

    def end(self, why: str) -> None:
        """The process is gone."""
        if not self.is_alive:
            return
        self.is_alive = False
        self.world.note(f"{self.name}.{self.epoch} {why}")
        self.world.ended(self)
