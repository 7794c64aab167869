"""Keeps a guard's desks in budget out of the firm's table, and gives back what they do not need.

Owns the order of steps: what is asked of the table, what the guard is had do, what the table is
told. Every movement is in the guard's log before it counts, and its numbers come from there; so
whatever ends this process, or the guard, the next one goes on where the log stands, and no movement
is lost or done twice. A reply of the guard leaves when its record is on the quorum.

How it fails: `SharingError`, and what the session and the admin client raise. It is to be started
again then, and finds out by itself: it keeps nothing of its own.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from guard.admin.messages import DeskLine, Done, ListDesks, Stats
from guard.client.admin import AdminClient, AdminRefusedError
from guard.clock import monotonic_ns
from guard.cluster.firm_table import ANSWER, answer_of, arguments_of
from guard.cluster.session import Session
from guard.cluster.slices import Answer, Holder, Message, SliceGranted, SliceRecord
from guard.sharing.movements import action_of, budget_of, movement_of
from wal import Follower

# A desk is filled up when it has less than half of what it is to have, and gives back what is
# beyond twice: so a movement is of many orders' worth.
_LOW_DIVISOR: Final = 2
_HIGH_FACTOR: Final = 2
_PREFIX: Final = b'"action_id":"slice-'
_WHY: Final = "the firm's table of slices"


class SharingError(Exception):
    """The guard or the table says what cannot go on; a person, or another start, has to look."""


class Terms(NamedTuple):
    """`holder`: the log's name in the cluster. `keep_microcents`: what a desk is to have free."""

    holder: str
    desks: list[str]
    keep_microcents: int
    contact_ns_max: int


class Sharer:
    """One guard's desks. `movements`: how many there have been since the start."""

    def __init__(self, admin: AdminClient, session: Session, terms: Terms) -> None:
        self._admin = admin
        self._session = session
        self._terms = terms
        self._holder = Holder(terms.holder, 0, terms.contact_ns_max)
        self.movements = 0

    def recover(self, log: Path) -> None:
        """What the guard's log has of movements. Raises SharingError, WalError.

        What the files show may not be on the quorum yet; behind the guard's next answer it is, if
        its epoch is still the same.
        """
        epoch = self._epoch()
        self._holder = Holder(self._terms.holder, epoch, self._terms.contact_ns_max)
        follower = Follower(log)
        if follower.head.sequence:
            raise SharingError(f"{log}: its first segments are archived: movements may stand there")
        for line in follower.poll():
            if _PREFIX not in line:
                continue
            assert follower.last is not None
            record = movement_of(json.loads(follower.last.data))
            if record is not None:
                self._holder.apply(record)
        if self._epoch() != epoch:
            raise SharingError("the guard began another epoch meanwhile")
        self._holder.recovered()

    def _epoch(self) -> int:
        epoch = self._admin.ask(Stats()).counters.get("cluster_epoch", 0)
        if epoch < 1:
            raise SharingError("the guard does not serve a log in a cluster")
        return int(epoch)

    async def step(self) -> None:
        """Each desk once. Raises as the module says."""
        lines = {line.desk: line for line in self._admin.ask(ListDesks()).desks}
        for desk in self._terms.desks:
            if desk not in lines:
                raise SharingError(f"the guard has no desk {desk!r}")
            await self._settle(budget_of(desk), lines[desk])

    async def _settle(self, resource: str, line: DeskLine) -> None:
        holder, keep = self._holder, self._terms.keep_microcents
        told = holder.untold(resource, monotonic_ns())
        if told is not None:
            self._take(await self._answer(told))
        remaining = line.remaining_microcents
        wants = keep - remaining if remaining < keep // _LOW_DIVISOR else 0
        record = self._take(await self._answer(holder.ask(resource, wants, monotonic_ns())))
        if record is not None:
            self._have_done(record)
            return
        in_force = holder.holding(resource).in_force
        free = min(remaining, in_force)
        wanted = min(holder.wanted_back.get(resource, 0), remaining - keep // _LOW_DIVISOR)
        surplus = min(free, max(wanted, remaining - _HIGH_FACTOR * keep))
        if surplus > 0 and holder.may_give_back(resource):
            self._have_done(holder.give_back(resource, surplus, in_force - free))

    def _take(self, answer: Answer) -> SliceGranted | None:
        record = self._holder.take(answer)
        broken = self._holder.broken
        if broken is not None:
            raise SharingError(f"the firm's table: {broken.code}: {broken.why}")
        return record

    async def _answer(self, message: Message) -> Answer:
        row: Mapping[str, Any] | None = await self._session.commit(ANSWER, *arguments_of(message))
        answer = None if row is None else answer_of(message, row)
        if answer is None:
            raise SharingError("the cluster's settings of replication are not as configured")
        return answer

    def _have_done(self, record: SliceRecord) -> None:
        """Has the guard write the record; it counts when that is on the quorum."""
        try:
            reply = self._admin.ask(action_of(record, _WHY))
        except AdminRefusedError as error:
            if error.code == "too_much" and not isinstance(record, SliceGranted):
                return  # orders have taken it meanwhile
            raise SharingError(f"the guard refuses: {error}") from error
        if not isinstance(reply, Done):
            raise SharingError(
                "the guard wants a second person for it: the desk's budget in approvals.desk has "
                "to be as much as the firm may give it"
            )
        self._holder.apply(record)
        self._holder.durable(record)
        self.movements += 1
