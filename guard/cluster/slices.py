"""Slices of what a firm has, over many guards: who may spend how much, whatever fails. Pure.

Owns the rules by which a guard (the *holder* of slices) and the firm's *table* move amounts of a
*resource* (a desk's budget, a limit of the firm) between them; `guard/CLUSTER_SLICES.md` says them
in words, with why each is enough. No clock, socket, file or database: times come as arguments,
messages and records go out as values. How the table is kept, and how a record gets into a log, is
for others.

How it works. Each movement is in two places: the holder's log (`SliceGranted`, `SliceReturned`) and
the table's row of that holder and resource. Each has a number, which counts from 1 for each holder,
resource and direction, and which the holder's log alone gives: the next grant is one more than the
log holds. So whoever reads that log, the holder again or its successor, asks for the same movement
under the same number, and is given the same amount. At most one of either direction is under way.

* A grant leaves the table first, and counts for the holder when its log has it.
* A return leaves the holder first, and counts for the table when that was told.

In between an amount is nobody's. Nothing expires: the table takes nothing back by itself.

How it fails. What cannot be, of what is asked for, is `SliceError`. What the table and a holder
know of each other that cannot be so (a log or a table that has lost records) is `Refused`: the
holder is `broken` from then on, and a person decides.
"""

from typing import Final, Literal, TypeAlias

from msgspec import Struct

# What an amount may be: it is added to and taken from budgets, which are as large at most.
AMOUNT_MAX: Final = 2**63 - 1

RefusedCode: TypeAlias = Literal[
    "unknown_holder", "unknown_resource", "fenced", "table_behind", "holder_behind", "conflict"
]


class SliceError(ValueError):
    """What was asked for cannot be; nothing has changed."""


class SliceGranted(Struct, frozen=True, tag="slice_granted", gc=False):
    """A holder's record: from here on it has so much more."""

    resource: str
    number: int
    amount: int


class SliceReturned(Struct, frozen=True, tag="slice_returned", gc=False):
    """A holder's record: from here on it has so much less, which it neither held nor had spent."""

    resource: str
    number: int
    amount: int


SliceRecord: TypeAlias = SliceGranted | SliceReturned


class Ask(Struct, frozen=True, gc=False):
    """Grant `number`, of up to `amount`; 0: only if the table has given it already.

    `sent_ns`: by the clock of the holder, who gets it back and learns how old the answer is.
    """

    holder: str
    epoch: int
    resource: str
    number: int
    amount: int
    sent_ns: int


class GiveBack(Struct, frozen=True, gc=False):
    """Return `number`, which the holder's log has, durably."""

    holder: str
    epoch: int
    resource: str
    number: int
    amount: int
    sent_ns: int


Message: TypeAlias = Ask | GiveBack


class Granted(Struct, frozen=True, gc=False):
    """What grant `number` has; 0: it has not been given, since nothing is free or was asked for.

    `wanted_back`: what the firm would like to have of the holder.
    """

    asked: Ask
    amount: int
    wanted_back: int


class TakenBack(Struct, frozen=True, gc=False):
    """The table has the return."""

    asked: GiveBack
    wanted_back: int


class Refused(Struct, frozen=True, gc=False):
    """Nothing has changed. `why` names the numbers that do not fit."""

    asked: Message
    code: RefusedCode
    why: str


Answer: TypeAlias = Granted | TakenBack | Refused


class Holding(Struct, gc=False):
    """One resource as a holder's log has it: the fold of its records."""

    granted_number: int = 0
    granted: int = 0
    returned_number: int = 0
    returned: int = 0
    return_amount: int = 0  # of the last return, which may have to be told again

    @property
    def in_force(self) -> int:
        """What the holder has."""
        return self.granted - self.returned

    def apply(self, record: SliceRecord) -> None:
        """Folds a record. Raises SliceError for one that does not follow."""
        is_grant = isinstance(record, SliceGranted)
        number = 1 + (self.granted_number if is_grant else self.returned_number)
        amount_max = AMOUNT_MAX - self.granted if is_grant else self.in_force
        if record.number != number:
            raise SliceError(f"number: {record.number} is not allowed; allowed: {number}")
        if not 0 < record.amount <= amount_max:
            raise SliceError(f"amount: {record.amount} is not allowed; allowed: 1 to {amount_max}")
        if is_grant:
            self.granted_number, self.granted = number, self.granted + record.amount
        else:
            self.returned_number, self.returned = number, self.returned + record.amount
            self.return_amount = record.amount


class Holder:
    """A guard's side. `epoch`: of its log, counted up by each start and each takeover.

    After a start `apply` is called for each record of the log, then `recovered`.
    """

    def __init__(self, name: str, epoch: int, contact_ns_max: int) -> None:
        self.name = name
        self.epoch = epoch
        self.broken: Refused | None = None
        self.wanted_back: dict[str, int] = {}
        self._contact_ns_max = contact_ns_max
        self._heard_ns: int | None = None
        self._holdings: dict[str, Holding] = {}
        # Resources whose last grant, or return, is not on disk; whose last return the table has
        # not said to have.
        self._undurable_grants: set[str] = set()
        self._undurable_returns: set[str] = set()
        self._untold: set[str] = set()

    def holding(self, resource: str) -> Holding:
        """What it has of a resource."""
        return self._holdings.setdefault(resource, Holding())

    def apply(self, record: SliceRecord) -> None:
        """Folds a record that is staged, or read. Raises SliceError."""
        self.holding(record.resource).apply(record)
        if isinstance(record, SliceGranted):
            self._undurable_grants.add(record.resource)
        else:
            self._undurable_returns.add(record.resource)
            self._untold.add(record.resource)

    def recovered(self) -> None:
        """All that was applied is durable, and its epoch is this holder's."""
        self._undurable_grants.clear()
        self._undurable_returns.clear()

    def durable(self, record: SliceRecord) -> None:
        """A record has become durable, as the log's epoch demands it: it is nobody else's log."""
        if isinstance(record, SliceGranted):
            self._undurable_grants.discard(record.resource)
        else:
            self._undurable_returns.discard(record.resource)

    def is_reducing(self, now_ns: int) -> bool:
        """Whether the firm has not been heard for too long, or cannot be believed."""
        if self.broken is not None or self._heard_ns is None:
            return True
        return now_ns - self._heard_ns >= self._contact_ns_max

    def ask(self, resource: str, amount: int, now_ns: int) -> Ask:
        """The question for the next grant, or after the last one, while its record is not on disk.

        Else a crash could leave a log that has not even the grant before. Raises SliceError.
        """
        holding = self.holding(resource)
        amount_max = AMOUNT_MAX - holding.granted
        if not 0 <= amount <= amount_max:
            raise SliceError(f"amount: {amount} is not allowed; allowed: 0 to {amount_max}")
        number = holding.granted_number + (resource not in self._undurable_grants)
        return Ask(self.name, self.epoch, resource, number, amount, now_ns)

    def give_back(self, resource: str, amount: int, used: int) -> SliceReturned:
        """The record of a return. `used`: what of the resource is held or spent now.

        Raises SliceError for more than is neither, and while the return before is not told.
        """
        holding = self.holding(resource)
        if resource in self._untold:
            number = holding.returned_number
            raise SliceError(f"return {number} of {resource} is under way: the table has to say so")
        free = holding.in_force - used
        if not 0 < amount <= free:
            raise SliceError(f"amount: {amount} is not allowed; allowed: 1 to {free}")
        return SliceReturned(resource, holding.returned_number + 1, amount)

    def may_give_back(self, resource: str) -> bool:
        """Whether the table has said that it has the last return."""
        return resource not in self._untold

    def untold(self, resource: str, now_ns: int) -> GiveBack | None:
        """The return that the table has to be told; None where there is none, or not on disk."""
        if resource not in self._untold or resource in self._undurable_returns:
            return None
        holding = self.holding(resource)
        number, amount = holding.returned_number, holding.return_amount
        return GiveBack(self.name, self.epoch, resource, number, amount, now_ns)

    def take(self, answer: Answer) -> SliceGranted | None:
        """What an answer is worth: the record to be written and applied, if it is a new grant.

        An answer to somebody else's question counts for nothing, nor does one to a number that
        the log has: it comes late, or twice.
        """
        asked = answer.asked
        if asked.holder != self.name or asked.epoch != self.epoch:
            return None
        if isinstance(answer, Refused):
            self._refused(answer)
            return None
        # Counted from when the question was sent: an answer may have been under way for long.
        if self._heard_ns is None or asked.sent_ns > self._heard_ns:
            self._heard_ns = asked.sent_ns
            self.wanted_back[asked.resource] = answer.wanted_back
        holding = self.holding(asked.resource)
        if isinstance(answer, TakenBack):
            if asked.number == holding.returned_number:
                self._untold.discard(asked.resource)
            return None
        if answer.amount == 0 or asked.number != holding.granted_number + 1:
            return None
        return SliceGranted(asked.resource, asked.number, answer.amount)

    def _refused(self, answer: Refused) -> None:
        """A number that the log has passed since was refused as old: that means nothing.

        A resource that the firm does not have is none of its holders' faults: it gives nothing.
        """
        if answer.code == "unknown_resource":
            return
        asked, holding = answer.asked, self.holding(answer.asked.resource)
        is_grant = isinstance(asked, Ask)
        number = holding.granted_number + 1 if is_grant else holding.returned_number
        if answer.code != "holder_behind" or asked.number == number:
            self.broken = answer


class Row(Struct, gc=False):
    """The table's row of a holder and a resource."""

    granted_number: int = 0
    granted: int = 0
    grant_amount: int = 0  # of the last grant, for who asks again
    returned_number: int = 0
    returned: int = 0
    return_amount: int = 0

    @property
    def given(self) -> int:
        """What the holder has, or will have when it asks again, or has not told of."""
        return self.granted - self.returned


class Resource(Struct, gc=False):
    """What the firm has of something. `free`: what of it is in no slice.

    `target`: what it is to be; `total` comes down to it as slices return.
    """

    total: int
    free: int
    target: int
    holder_count: int = 0
    is_short: bool = False  # the last who asked got less than that


class Table:
    """The firm's side: each method is one transaction, and stands or falls whole.

    An answer may leave when its transaction is committed where no failure takes it back; so one
    that has only read must wait for a commit, too.
    """

    def __init__(self) -> None:
        self.resources: dict[str, Resource] = {}
        self.epochs: dict[str, int] = {}
        self.rows: dict[tuple[str, str], Row] = {}

    def set_total(self, resource: str, target: int) -> None:
        """A resource is to be so much: more at once, less as far as it is free. Raises."""
        if not 0 <= target <= AMOUNT_MAX:
            raise SliceError(f"total: {target} is not allowed; allowed: 0 to {AMOUNT_MAX}")
        found = self.resources.setdefault(resource, Resource(0, 0, 0))
        found.target = target
        if target > found.total:
            found.free += target - found.total
            found.total = target
        self._settle(found)

    def open_epoch(self, holder: str, epoch: int) -> None:
        """A start or a takeover: whatever an earlier epoch says from here on is refused. Raises."""
        known = self.epochs.get(holder, 0)
        if epoch <= known:
            raise SliceError(f"epoch: {epoch} is not allowed; allowed: above {known}")
        self.epochs[holder] = epoch

    def answer(self, message: Message) -> Answer:
        """What a holder is told, and what that changes."""
        epoch, resource = self.epochs.get(message.holder), self.resources.get(message.resource)
        if epoch is None:
            return Refused(message, "unknown_holder", f"no holder {message.holder!r} is known")
        if resource is None:
            return Refused(message, "unknown_resource", f"no resource {message.resource!r}")
        if message.epoch != epoch:
            return Refused(message, "fenced", f"epoch {message.epoch}; in force is {epoch}")
        row = self.rows.get((message.holder, message.resource))
        if row is None:
            row = self.rows[message.holder, message.resource] = Row()
            resource.holder_count += 1
        is_ask = isinstance(message, Ask)
        last = row.granted_number if is_ask else row.returned_number
        if refused := self._refuse(message, last):
            return refused
        if isinstance(message, Ask):
            return self._grant(message, row, resource)
        return self._take_back(message, row, resource)

    @staticmethod
    def _refuse(message: Message, last: int) -> Refused | None:
        """A number is the last one, again, or the next one."""
        what = f"number {message.number}; the table's last is {last}"
        if message.number < last:
            return Refused(message, "holder_behind", what)
        if message.number > last + 1 or message.number < 1:
            return Refused(message, "table_behind", what)
        return None

    def _grant(self, message: Ask, row: Row, resource: Resource) -> Answer:
        amount = row.grant_amount
        if message.number > row.granted_number:
            is_open = resource.total <= resource.target
            amount = min(message.amount, resource.free if is_open else 0)
            if amount:
                row.granted_number, row.grant_amount = message.number, amount
                row.granted += amount
                resource.free -= amount
            if message.amount:
                resource.is_short = amount < message.amount
        return Granted(message, amount, self._wanted_back(row, resource))

    def _take_back(self, message: GiveBack, row: Row, resource: Resource) -> Answer:
        if message.number == row.returned_number:
            if message.amount != row.return_amount:
                what = f"return {message.number} was of {row.return_amount}, not {message.amount}"
                return Refused(message, "conflict", what)
        elif not 0 < message.amount <= row.given:
            what = f"return {message.number} of {message.amount}; it was given {row.given}"
            return Refused(message, "conflict", what)
        else:
            row.returned_number, row.return_amount = message.number, message.amount
            row.returned += message.amount
            resource.free += message.amount
            resource.is_short = False
            self._settle(resource)
        return TakenBack(message, self._wanted_back(row, resource))

    @staticmethod
    def _settle(resource: Resource) -> None:
        """The total comes down as far as something is free."""
        less = min(resource.free, resource.total - resource.target)
        if less > 0:
            resource.total -= less
            resource.free -= less

    @staticmethod
    def _wanted_back(row: Row, resource: Resource) -> int:
        """Where the firm is short, what a holder has beyond an equal share. A wish, no more."""
        if not resource.is_short and resource.total <= resource.target:
            return 0
        share = min(resource.total, resource.target) // max(1, resource.holder_count)
        return max(0, row.given - share)
