"""Planted bugs of checkpoints: see `sim.mutations`."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

import guard.recovery.recover
import wal.publish
from guard.engine.remembered import RememberedOrders
from guard.recovery.checkpoint_schedule import Checkpointer
from kernel.ledger import BudgetEngine
from wal import CheckpointReader, WalStartMismatch

Patch = AbstractContextManager[Any]


def checkpoint_without_holds() -> Patch:
    """A restored ledger has its balances and lacks the holds behind them."""

    def forget(ledger: BudgetEngine) -> None:
        for hold in list(ledger._holds):
            ledger._holds.lower(hold, hold.microcents)

    return _restored(forget)


def checkpoint_without_allocator() -> Patch:
    """A restored ledger gives out numbers from behind its last open hold on."""

    def forget(ledger: BudgetEngine) -> None:
        ledger._next_id = max((hold.number for hold in ledger._holds), default=0) + 1

    return _restored(forget)


def checkpoint_without_caps() -> Patch:
    """A restored ledger has no caps."""

    def forget(ledger: BudgetEngine) -> None:
        for tenant in ledger._tenants.values():
            tenant.cap = 0

    return _restored(forget)


def _restored(forget: Callable[[BudgetEngine], None]) -> Patch:
    real = BudgetEngine.restore.__func__  # type: ignore[attr-defined]

    def restore(cls: type[BudgetEngine], state: Any) -> BudgetEngine:
        ledger: BudgetEngine = real(cls, state)
        forget(ledger)
        return ledger

    return patch.object(BudgetEngine, "restore", classmethod(restore))


def checkpoint_without_orders() -> Patch:
    """A restored state remembers no order."""
    real = RememberedOrders.load
    return patch.object(
        RememberedOrders, "load", lambda _self, *given: real(RememberedOrders(), *given)
    )


def checkpoint_before_its_record() -> Patch:
    """A checkpoint is published though its record may still be lost."""
    real = Checkpointer._look

    def look(self: Checkpointer) -> None:
        if self._underway is not None:
            self._underway.child.let_go()
        real(self)

    return patch.object(Checkpointer, "_look", look)


class _NoSync:
    """The system's calls, without a sync."""

    fsync = staticmethod(lambda _descriptor: None)
    fdatasync = fsync

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)


def checkpoint_not_synced() -> Patch:
    """A checkpoint is listed before its bytes are on the disk."""
    return patch.object(wal.publish, "os", _NoSync())


def checkpoint_names_not_synced() -> Patch:
    """A checkpoint is told of before its name is on the disk."""
    return patch.object(wal.publish, "fsync_directory", lambda _directory: None)


def damaged_checkpoint_used() -> Patch:
    """Nobody compares a payload with what was listed."""

    def check(self: CheckpointReader) -> None:
        self._checked = True

    return patch.object(CheckpointReader, "_check_end", check)


def checkpoint_of_another_log_used() -> Patch:
    """What the log does not hold is not missed."""
    real = guard.recovery.recover.read_entries

    def read(*arguments: Any) -> Iterator[Any]:
        try:
            yield from real(*arguments)
        except WalStartMismatch:
            return

    return patch.object(guard.recovery.recover, "read_entries", read)


CHECKPOINT_MUTATIONS: tuple[Callable[[], Patch], ...] = (
    checkpoint_without_holds,
    checkpoint_without_allocator,
    checkpoint_without_caps,
    checkpoint_without_orders,
    checkpoint_before_its_record,
    checkpoint_not_synced,
    checkpoint_names_not_synced,
    damaged_checkpoint_used,
    checkpoint_of_another_log_used,
)
