"""Planted bugs of the slices: the proof that their simulation can fail.

Each is a patch in force within its `with`. `find` plays seeds until one fails; a bug that survives
`SEEDS_MAX` of them shows a hole in the simulation. All but the last are of the product.
"""

from collections.abc import Callable
from unittest.mock import patch

from guard.cluster import slices
from guard.cluster.slices import (
    Answer,
    Ask,
    GiveBack,
    Granted,
    Holder,
    Message,
    Refused,
    Resource,
    Row,
    SliceGranted,
    SliceReturned,
    Table,
)
from sim.disk import ViolationError
from sim.planting import Patch, first_failure, played
from sim.slices_cluster import Cluster
from sim.slices_world import SlicesWorld

SEEDS_MAX = 12
GUARDS, FAULTY_S = 30, 40
SILENCE_NS = 4_000_000_000


def play(seed: int, guard_count: int = GUARDS, faulty_s: int = FAULTY_S) -> SlicesWorld:
    """One history; its world. Raises ViolationError."""
    return played(SlicesWorld(seed, guard_count, faulty_s))


def find(mutation: Callable[[], Patch]) -> str | None:
    """What the simulation says of the bug; None where it says nothing."""
    failures = (ViolationError, slices.SliceError)
    return first_failure(mutation, play, SEEDS_MAX, failures)


def slices_expire() -> Patch:
    """The table takes back what a guard has that was silent for some seconds."""
    real = Table.answer

    def answer(self: Table, message: Message) -> Answer:
        heard = self.__dict__.setdefault("heard", {})
        heard[message.holder] = message.sent_ns
        for (holder, resource), row in self.rows.items():
            if message.sent_ns - heard.get(holder, message.sent_ns) > SILENCE_NS and row.given:
                self.resources[resource].free += row.given
                row.returned = row.granted
        return real(self, message)

    return patch.object(Table, "answer", answer)


def grant_without_its_record() -> Patch:
    """A grant counts when the table has answered, and no log has it."""
    real = Holder.take

    def take(self: Holder, answer: Answer) -> SliceGranted | None:
        record = real(self, answer)
        if record is not None:
            self.apply(record)
            self.durable(record)
        return None

    return patch.object(Holder, "take", take)


def return_told_before_its_record() -> Patch:
    """The table hears of a return that a crash may still take out of the log."""
    real = Holder.untold

    def untold(self: Holder, resource: str, now_ns: int) -> GiveBack | None:
        self._undurable_returns.discard(resource)
        return real(self, resource, now_ns)

    return patch.object(Holder, "untold", untold)


def return_told_again_under_another_number() -> Patch:
    """Told again, a return is a new one."""
    real = Holder.untold

    def untold(self: Holder, resource: str, now_ns: int) -> GiveBack | None:
        told = real(self, resource, now_ns)
        if told is None:
            return None
        extra = self.__dict__.setdefault("extra", {})
        number, times = extra.get(resource, (0, 0))
        times = times + 1 if number == told.number else 0
        extra[resource] = (told.number, times)
        return slices.GiveBack(
            told.holder, told.epoch, resource, told.number + times, told.amount, now_ns
        )

    return patch.object(Holder, "untold", untold)


def return_taken_twice() -> Patch:
    """The table does not look whether it has a return already."""
    real = Table._take_back

    def take_back(self: Table, message: GiveBack, row: Row, resource: Resource) -> Answer:
        row.returned_number = message.number - 1
        return real(self, message, row, resource)

    return patch.object(Table, "_take_back", take_back)


def grant_given_anew_when_asked_again() -> Patch:
    """Asked again, the table gives another grant: as if each question had an id of its own."""
    real = Table._grant

    def grant(self: Table, message: Ask, row: Row, resource: Resource) -> Answer:
        if message.amount:
            row.granted_number = message.number - 1
        return real(self, message, row, resource)

    return patch.object(Table, "_grant", grant)


def grant_asked_under_another_number() -> Patch:
    """A holder that hears nothing asks for the grant behind the one that it has not got."""
    real_ask, real_take = Holder.ask, Holder.take

    def ask(self: Holder, resource: str, amount: int, now_ns: int) -> Ask:
        asked = real_ask(self, resource, amount, now_ns)
        tries = self.__dict__.setdefault("tries", {})
        tries[resource] = tries.get(resource, -1) + 1
        number = asked.number + tries[resource]
        return Ask(self.name, self.epoch, resource, number, amount, now_ns)

    def take(self: Holder, answer: Answer) -> SliceGranted | None:
        if isinstance(answer, Granted) and answer.amount and answer.asked.epoch == self.epoch:
            self.__dict__.setdefault("tries", {})[answer.asked.resource] = -1
            resource = answer.asked.resource
            return SliceGranted(resource, self.holding(resource).granted_number + 1, answer.amount)
        return real_take(self, answer)

    return patch.multiple(Holder, ask=ask, take=take)


def asked_on_before_the_grant_is_durable() -> Patch:
    """The next grant is asked for while a crash may still take the last one out of the log."""
    real = Holder.ask

    def ask(self: Holder, resource: str, amount: int, now_ns: int) -> Ask:
        self._undurable_grants.discard(resource)
        return real(self, resource, amount, now_ns)

    return patch.object(Holder, "ask", ask)


def late_answer_counts() -> Patch:
    """A grant counts each time that an answer says so."""
    real = Holder.take

    def take(self: Holder, answer: Answer) -> SliceGranted | None:
        record = real(self, answer)
        if record is not None or not isinstance(answer, Granted) or not answer.amount:
            return record
        if answer.asked.holder != self.name or answer.asked.epoch != self.epoch:
            return None
        number = self.holding(answer.asked.resource).granted_number + 1
        return SliceGranted(answer.asked.resource, number, answer.amount)

    return patch.object(Holder, "take", take)


def held_is_returned() -> Patch:
    """A holder gives back what it has, held or not."""
    real = Holder.give_back

    def give_back(self: Holder, resource: str, amount: int, used: int) -> SliceReturned:
        return real(self, resource, amount + used // 2, 0)

    return patch.object(Holder, "give_back", give_back)


def returned_while_one_is_under_way() -> Patch:
    """Another return is recorded before the table has the last one."""
    real = Holder.give_back

    def give_back(self: Holder, resource: str, amount: int, used: int) -> SliceReturned:
        self._untold.discard(resource)
        return real(self, resource, amount, used)

    return patch.multiple(Holder, give_back=give_back, may_give_back=lambda *_: True)


def successor_forgets_the_last_return() -> Patch:
    """Who takes over takes the last return for told."""
    real = Holder.recovered

    def recovered(self: Holder) -> None:
        real(self)
        self._untold.clear()

    return patch.object(Holder, "recovered", recovered)


def successor_begins_with_nothing() -> Patch:
    """Who takes over does not read what the log was granted."""
    real = Holder.recovered

    def recovered(self: Holder) -> None:
        real(self)
        self._holdings.clear()
        self._untold.clear()

    return patch.object(Holder, "recovered", recovered)


def contact_counted_from_the_answer() -> Patch:
    """However old an answer is, the firm was heard."""
    real = Holder.is_reducing

    def is_reducing(self: Holder, now_ns: int) -> bool:
        heard_ns = self._heard_ns
        arrived = self.__dict__.setdefault("arrived", [None, None])
        if heard_ns != arrived[0]:
            arrived[:] = [heard_ns, now_ns]
        if arrived[1] is None:
            return real(self, now_ns)
        return self.broken is not None or now_ns - arrived[1] >= self._contact_ns_max

    return patch.object(Holder, "is_reducing", is_reducing)


def silence_is_nothing() -> Patch:
    """A guard goes on, however long it has not heard of the firm."""
    return patch.object(Holder, "is_reducing", lambda self, _: self.broken is not None)


def more_than_is_free() -> Patch:
    """The table gives what is asked for."""
    real = Table._grant

    def grant(self: Table, message: Ask, row: Row, resource: Resource) -> Answer:
        if message.number > row.granted_number and message.amount:
            row.granted_number, row.grant_amount = message.number, message.amount
            row.granted += message.amount
            resource.free -= message.amount
        return real(self, message, row, resource)

    return patch.object(Table, "_grant", grant)


def lowered_at_once() -> Patch:
    """The firm has less from now on, whatever is in slices."""

    def settle(resource: Resource) -> None:
        less = max(0, resource.total - resource.target)
        resource.total -= less
        resource.free = max(0, resource.free - less)

    return patch.object(Table, "_settle", staticmethod(settle))


def refused_as_old_breaks() -> Patch:
    """A question that comes late, and is refused as old, is taken for a lost log."""

    def refused(self: Holder, answer: Refused) -> None:
        self.broken = answer

    return patch.object(Holder, "_refused", refused)


def answered_before_the_quorum() -> Patch:
    """Of the database: it answers what a failover can take back."""
    return patch.object(Cluster, "is_early", True)


MUTATIONS: tuple[Callable[[], Patch], ...] = (
    slices_expire,
    grant_without_its_record,
    return_told_before_its_record,
    return_told_again_under_another_number,
    return_taken_twice,
    grant_given_anew_when_asked_again,
    grant_asked_under_another_number,
    asked_on_before_the_grant_is_durable,
    late_answer_counts,
    held_is_returned,
    returned_while_one_is_under_way,
    successor_forgets_the_last_return,
    successor_begins_with_nothing,
    contact_counted_from_the_answer,
    silence_is_nothing,
    more_than_is_free,
    lowered_at_once,
    refused_as_old_breaks,
    answered_before_the_quorum,
)
