"""The cluster of the slices' simulation: the firm's table and the guards' logs in one database.

Real is `guard.cluster.slices.Table`. Simulated is what a database with a quorum does around it: a
transaction is visible on the primary at once, and for ever only once a quorum has it; who asked
hears of it then. With a failover a beginning of what waited survives, the rest is as if it had
never been, and nobody is told which: connections break.

A log takes a batch of records of the epoch in force, and no other.
"""

import copy
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from guard.cluster.moves import DeskOut, MoveRecord
from guard.cluster.slices import Message, Row, SliceGranted, SliceReturned, Table
from sim.slices_oracle import SlicesOracle


class Admitted(NamedTuple):
    """A log's record: so much is held for an order."""

    resource: str
    order: int
    amount: int


class Closed(NamedTuple):
    """An order is over: a part of what it held is spent, the rest is free."""

    resource: str
    order: int
    held: int
    spent: int


class Moved(NamedTuple):
    """A desk has left, or arrived, with what its orders hold."""

    resource: str
    record: MoveRecord
    held: int


LogRecord = SliceGranted | SliceReturned | Admitted | Closed | Moved


class Waiting(NamedTuple):
    """A transaction that no quorum has yet."""

    undo: Callable[[], None]
    done: Callable[[], None]
    lost: Callable[[], None]


def effect(record: LogRecord) -> tuple[int, int, int]:
    """(granted, in use, spent): what a record moves."""
    match record:
        case SliceGranted():
            return record.amount, 0, 0
        case SliceReturned():
            return -record.amount, 0, 0
        case Admitted():
            return 0, record.amount, 0
        case Closed():
            return 0, record.spent - record.held, record.spent
        case Moved():
            return 0, -record.held if isinstance(record.record, DeskOut) else record.held, 0


class Cluster:
    """One database. `is_early`: it answers before the quorum has it (a planted bug)."""

    is_early = False

    def __init__(self, oracle: SlicesOracle, touched: Callable[[str, str], None]) -> None:
        self.table = Table()
        self.logs: dict[str, list[LogRecord]] = {}
        self.is_up = True
        self.waiting: deque[Waiting] = deque()
        self.commits = self.failovers = self.undone = 0
        self._oracle = oracle
        self._touched = touched

    def settle_one(self) -> None:
        """The quorum has the transaction that waits longest."""
        if self.waiting:
            self.waiting.popleft().done()

    def contact(self, message: Message, done: Callable[[Any], None]) -> None:
        """A holder's message, answered by the table."""
        key = (message.holder, message.resource)
        table = self.table
        row, resource = table.rows.get(key), table.resources.get(message.resource)
        row, resource = copy.copy(row), copy.copy(resource)

        def undo() -> None:
            self._put_back(key, row)
            if resource is not None:
                table.resources[message.resource] = resource
            self._touched(*key)

        answer = table.answer(message)
        self._touched(*key)
        if self.is_early:
            done(answer)
            self.waiting.append(Waiting(undo, _nothing, _nothing))
        else:
            self.waiting.append(Waiting(undo, lambda: done(answer), _nothing))

    def _put_back(self, key: tuple[str, str], row: Row | None) -> None:
        if row is None:
            self.table.rows.pop(key, None)
        else:
            self.table.rows[key] = row

    def written(self, name: str, record: LogRecord, *, is_undone: bool) -> None:
        """A record has come into a log, or gone with a failure: for who looks at more."""

    def set_total(self, resource: str, total: int) -> None:
        """A person gives the firm more of a resource, or less."""
        before = copy.copy(self.table.resources.get(resource))

        def undo() -> None:
            if before is not None:
                self.table.resources[resource] = before
            self._touched("", resource)

        self.table.set_total(resource, total)
        self._touched("", resource)
        self.waiting.append(Waiting(undo, _nothing, _nothing))

    def open_epoch(self, name: str, done: Callable[[], None], lost: Callable[[], None]) -> int:
        """The next epoch of a guard's log; the number."""
        before = self.table.epochs.get(name)

        def undo() -> None:
            if before is None:
                del self.table.epochs[name]
            else:
                self.table.epochs[name] = before
            self._touched(name, "")
            lost()

        epoch = (before or 0) + 1
        self.table.open_epoch(name, epoch)
        self._touched(name, "")
        self.waiting.append(Waiting(undo, done, lost))
        return epoch

    def commit(
        self,
        name: str,
        epoch: int,
        batch: list[LogRecord],
        done: Callable[[], None],
        lost: Callable[[], None],
    ) -> bool:
        """A batch of a log. False: of an epoch that has ended, and nothing is written."""
        if self.table.epochs.get(name) != epoch:
            return False
        log = self.logs.setdefault(name, [])
        log += batch
        self.commits += 1
        for record in batch:
            self._oracle.log((name, record.resource), *effect(record))
            self._oracle.check_log((name, record.resource))
            self._touched(name, record.resource)
            self.written(name, record, is_undone=False)

        def undo() -> None:
            del log[-len(batch) :]
            for record in reversed(batch):
                self.written(name, record, is_undone=True)
                granted, used, spent = effect(record)
                self._oracle.log((name, record.resource), -granted, -used, -spent)
                self._touched(name, record.resource)

        self.waiting.append(Waiting(undo, done, lost))
        return True

    def fail_over(self, surviving: int) -> None:
        """Another primary: of what waited so many survive, and all connections are broken."""
        waiting, self.waiting = list(self.waiting), deque()
        self.failovers += 1
        for transaction in reversed(waiting[surviving:]):
            transaction.undo()
            self.undone += 1
        for transaction in waiting:
            transaction.lost()


def _nothing() -> None:
    return
