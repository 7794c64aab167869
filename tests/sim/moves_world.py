"""The slices' simulation with desks that move between its guards while they trade.

Real are `guard.cluster.moves.Places` and `Directory`, beside the slices. A desk's state is what its
orders hold. Whatever goes wrong in `sim.slices_world` goes wrong here, too, in the midst of moves.

At every step: each desk is served by one guard at most, by any log and by any process whose epoch
is in force; a log takes an order, or its end, only of a desk that it serves; what arrives is to the
last order what the logs say that the desk has. In the end each desk is served, nothing is missing.
"""

import copy
import json
from typing import Any

from guard.cluster.moves import DeskIn, DeskOut, Directory, MoveRecord, Places, Row
from sim.disk import ViolationError
from sim.slices_cluster import Admitted, Closed, Cluster, LogRecord, Moved, Waiting
from sim.slices_guard import Guard
from sim.slices_world import SlicesWorld

RESOURCE = "limit/firm"
DESKS_PER_GUARD = 2
MOVES_PER_S = 0.4  # for each desk


class MovesCluster(Cluster):
    """The database, with the directory in it, and what its logs say of desks."""

    def __init__(self, world: "MovesWorld") -> None:
        super().__init__(world.oracle, world.touched)
        self.directory = Directory()
        self.world = world
        self.served_by: dict[str, set[str]] = {}
        self.orders: dict[str, dict[int, int]] = {}  # of each desk, what its open orders hold
        self.arrivals = 0

    def written(self, name: str, record: LogRecord, *, is_undone: bool) -> None:
        """Counts a record in, or out again."""
        match record:
            case Admitted() | Closed():
                self._count(name, record, is_undone=is_undone)
            case Moved():
                move = record.record
                is_here = isinstance(move, DeskIn)
                if is_here and not is_undone:
                    self.arrivals += 1
                    self._check_content(move)
                change = set.add if is_here is not is_undone else set.discard
                change(self.served_by[move.desk], name)
                self.world.dirty_desks.add(move.desk)

    def _count(self, name: str, record: Admitted | Closed, *, is_undone: bool) -> None:
        desk = self.world.desk_of[record.order]
        if not is_undone and self.served_by[desk] != {name}:
            raise ViolationError(f"{name}: {record}, and {desk} is at {self.served_by[desk]}")
        held = record.amount if isinstance(record, Admitted) else record.held
        if isinstance(record, Admitted) is not is_undone:
            self.orders[desk][record.order] = held
        elif self.orders[desk].pop(record.order, None) != held:
            raise ViolationError(f"{name}: {record}, and {desk} has it not")

    def _check_content(self, move: MoveRecord) -> None:
        content = {int(order): held for order, held in json.loads(move.content).items()}
        if content != self.orders[move.desk]:
            raise ViolationError(f"{move}: {move.desk} has {self.orders[move.desk]}")

    def ask_directory(self, guard: Guard, told: list[MoveRecord], done: Any) -> None:
        """What a guard tells the directory, and is told, if its epoch is in force."""
        if self.table.epochs.get(guard.name) != guard.epoch:
            return
        rows = self.directory.rows
        before = {record.desk: copy.copy(rows[record.desk]) for record in told}
        acknowledged = [record for record in told if self.directory.told(record)]
        concerning = [(desk, copy.copy(row)) for desk, row in self.directory.concerning(guard.name)]
        self._wait(before, lambda: done(acknowledged, concerning))

    def order_move(self, desk: str, to: str) -> None:
        """A person has a desk move."""
        row = self.directory.rows[desk]
        if row.phase == "served" and row.holder != to:
            before = {desk: copy.copy(row)}
            self.directory.order(desk, to)
            self._wait(before, lambda: None)

    def _wait(self, before: dict[str, Row], done: Any) -> None:
        def undo() -> None:
            self.directory.rows.update(before)

        self.waiting.append(Waiting(undo, done, lambda: None))


class MovingGuard(Guard):
    """A guard with desks. What it may serve, its own log says."""

    world: "MovesWorld"

    def __init__(self, world: "MovesWorld", name: str, epoch: int) -> None:
        self.name = name
        self.places = Places(name)
        self.here: set[str] = set()
        self.waits_for = 0
        for desk in world.opened_at[name]:
            self.places.open(desk)
            self._note(world, desk)
        super().__init__(world, name, epoch, [RESOURCE])
        self.places.recovered()

    def apply(self, record: LogRecord) -> None:
        """Folds a record, staged or read."""
        if not isinstance(record, Moved):
            super().apply(record)
            return
        move = record.record
        self.places.apply(move)
        self._note(self.world, move.desk)
        content = {int(order): held for order, held in json.loads(move.content).items()}
        for order, held in content.items():
            if isinstance(move, DeskOut):
                del self.open[order]
                self.used[RESOURCE] -= held
            else:
                self.open[order] = (RESOURCE, held)
                self.used[RESOURCE] += held

    def _note(self, world: "MovesWorld", desk: str) -> None:
        """Whether it believes to serve a desk may be otherwise."""
        if self.places.serves(desk):
            self.here.add(desk)
            world.believers[desk].add(self.name)
        else:
            self.here.discard(desk)
        world.dirty_desks.add(desk)

    def new_order(self) -> int | None:
        desks = [desk for desk in self.world.desks if desk in self.here]
        if not desks:
            return None
        order = self.world.next_order()
        self.world.desk_of[order] = self.rng.choice(desks)
        return order

    def needed(self) -> int:
        return self.waits_for

    def more(self) -> None:
        """Tells the directory, and asks it."""
        self.world.ask_directory(self, self.places.untold())

    def hear_directory(self, acknowledged: list[MoveRecord], rows: list[tuple[str, Row]]) -> None:
        """What the directory says: desks leave, or arrive."""
        if not self.is_alive or self.world.now_ns < self.stopped_until_ns:
            return
        for record in acknowledged:
            self.places.told(record.desk, record.number)
        self.waits_for = 0
        for desk, row in rows:
            if row.phase == "leaving":
                self._let_go(desk, row)
            elif row.out is not None:
                self._take_in(row.out)
        self.flush()

    def _let_go(self, desk: str, row: Row) -> None:
        if not self.places.serves(desk):
            return
        of = self.world.desk_of
        held = {order: held for order, (_, held) in self.open.items() if of[order] == desk}
        content = json.dumps(held).encode()
        try:
            out = self.places.leave(desk, row.number, row.to, content)
        except ValueError:
            return  # an answer that comes late: of a move before
        self.stage(Moved(RESOURCE, out, sum(held.values())))

    def _take_in(self, out: DeskOut) -> None:
        arrived = self.places.arrive(out)
        if arrived is None:
            return
        held = sum(json.loads(out.content).values())
        if self.in_force(RESOURCE) - self.used[RESOURCE] < held:
            self.waits_for += held  # its slice has to be larger first
            return
        self.stage(Moved(RESOURCE, arrived, held))

    def committed(self) -> None:
        moved = [record for record in self.in_flight if isinstance(record, Moved)]
        is_heard = self.is_alive and self.world.now_ns >= self.stopped_until_ns
        super().committed()
        if is_heard:
            for record in moved:
                self.places.durable(record.record)


class MovesWorld(SlicesWorld):
    """Everything of one seed."""

    def __init__(self, seed: int, guard_count: int, faulty_s: int) -> None:
        self.dirty_desks: set[str] = set()
        self.believers: dict[str, set[str]] = {}
        super().__init__(seed, guard_count, faulty_s)
        names = list(self.guards)
        self.resources = {name: [RESOURCE] for name in names}
        self.firm = {RESOURCE: self.firm[RESOURCE]}
        self._dirty.clear()
        self.desks: list[str] = []
        self.desk_of: dict[int, str] = {}
        self.opened_at: dict[str, list[str]] = {}
        self.cluster: MovesCluster = MovesCluster(self)
        self.cluster.set_total(RESOURCE, self.firm[RESOURCE])
        self._settle_all()
        for name in names:
            here = [f"desk-{len(self.desks) + number}" for number in range(DESKS_PER_GUARD)]
            self.opened_at[name] = here
            self.desks += here
            for desk in here:
                self.cluster.directory.open(desk, name)
                self.cluster.served_by[desk] = {name}
                self.cluster.orders[desk] = {}
                self.believers[desk] = set()

    @property
    def arrivals(self) -> int:
        return self.cluster.arrivals

    def make_guard(self, name: str, epoch: int) -> Guard:
        return MovingGuard(self, name, epoch)

    def more_faults(self) -> None:
        if self.cluster.is_up:
            for _ in range(self._drawn(MOVES_PER_S * 0.1 * len(self.desks))):
                desk, to = self.rng.choice(self.desks), self.rng.choice(list(self.guards))
                self.cluster.order_move(desk, to)

    def ask_directory(self, guard: MovingGuard, told: list[MoveRecord]) -> None:
        """A guard's message to the directory."""
        for delay_ns in self.ways():
            self.at(delay_ns, self._arrive_at_directory, guard, told)

    def _arrive_at_directory(self, guard: MovingGuard, told: list[MoveRecord]) -> None:
        if guard.is_cut or not self.cluster.is_up:
            return

        def done(acknowledged: list[MoveRecord], rows: list[tuple[str, Row]]) -> None:
            for delay_ns in self.ways():
                self.at(delay_ns, self._hear_directory, guard, acknowledged, rows)

        self.cluster.ask_directory(guard, told, done)

    def _hear_directory(self, guard: MovingGuard, *answer: Any) -> None:
        if not guard.is_cut:
            guard.hear_directory(*answer)

    def touched(self, name: str, resource: str) -> None:
        super().touched(name, resource)
        if not resource:  # another epoch is in force, or a process has gone
            for guard in self.guards[name]:
                assert isinstance(guard, MovingGuard)
                self.dirty_desks.update(guard.here)

    def _check(self) -> None:
        super()._check()
        for desk in self.dirty_desks:
            names = self.believers[desk]
            names &= {name for name in names if self._believes(name, desk)}
            could = names | self.cluster.served_by[desk]
            if len(could) > 1:
                raise ViolationError(f"{desk} could be served by {sorted(could)}")
        self.dirty_desks.clear()

    def _believes(self, name: str, desk: str) -> bool:
        """Whether the process of the epoch in force serves the desk."""
        epoch = self.cluster.table.epochs.get(name)
        return any(
            each.is_alive and each.epoch == epoch and each.places.serves(desk)
            for each in self.guards[name]
            if isinstance(each, MovingGuard)
        )

    def _check_nothing_lost(self, when: str) -> None:
        super()._check_nothing_lost(when)
        for desk in self.desks:
            row, served_by = self.cluster.directory.rows[desk], self.cluster.served_by[desk]
            if row.phase != "served" or served_by != {row.holder}:
                raise ViolationError(f"{when}: {desk} is at {served_by}; the directory says {row}")
            if not self._believes(row.holder, desk):
                raise ViolationError(f"{when}: {desk} is not served at {row.holder}")

    def _check_drained(self) -> None:
        super()._check_drained()
        left = {desk: orders for desk, orders in self.cluster.orders.items() if orders}
        if left:
            raise ViolationError(f"orders are open: {left}")
