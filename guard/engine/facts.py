"""Facts that came early, and what people say of fills: few, and beside the orders. Pure.

Owns what is kept of fills and cancels whose order is not known yet, so that the order meets them
when it comes; which of them are *due*: their order was admitted, and each is to be the next record;
what people have accepted, busted or corrected of fills; and what canceled orders paid of a debt, so
that a repeat says it.

Each kind is bounded (`EARLY_FILLS_MAX`, `EARLY_CANCELS_MAX`; a desk's own, so that no desk fills
another one's) and forgotten when it expires, those that came first before the others. Keys are
those of `guard.engine.remembered`: a desk, an order's id, a fill's id, with a NUL between them.

How it fails: `ValueError` for an entry of a checkpoint that is none of its own.
"""

from collections import OrderedDict
from collections.abc import Callable, Container, Iterable, Iterator
from typing import Final, Literal, NamedTuple, TypeAlias

import msgspec

# Of one desk: more than a day's strays and races, at some 400 bytes each.
EARLY_FILLS_MAX: Final = 10_000
EARLY_CANCELS_MAX: Final = 10_000
# They are recorded in the batch of their order's record, which is bounded, too.
EARLY_FILLS_OF_ORDER_MAX: Final = 128

NEVER: Final = 2**63 - 1

Key: TypeAlias = bytes


class Amendment(NamedTuple):
    """What people have said of a fill; `fill_sequence`: of its record.

    `quantity`, `price` and `fee_microcents`: as corrected, None where they were not.
    """

    fill_sequence: int
    is_accepted: bool = False
    is_busted: bool = False
    quantity: int | None = None
    price: int | None = None
    fee_microcents: int | None = None

    @property
    def is_corrected(self) -> bool:
        """Has it other numbers than were reported?"""
        return self.fee_microcents is not None


def desk_in(key: Key) -> bytes:
    """The desk of an order's or a fill's key."""
    return key[: key.index(b"\0")]


def order_in(fill_key: Key) -> Key:
    """The key of a fill's order."""
    return fill_key[: fill_key.rindex(b"\0")]


class Expiring:
    """Facts by key, each until it expires; they expire in the order in which they came."""

    __slots__ = ("_counts", "_facts")

    def __init__(self) -> None:
        self._facts: OrderedDict[Key, tuple[int, tuple[int, ...]]] = OrderedDict()
        self._counts: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._facts)

    def keys(self) -> Container[Key]:
        """Of all that are kept."""
        return self._facts.keys()

    @property
    def first_expires_at_ns(self) -> int:
        """When the first one expires; NEVER where there is none."""
        return self._facts[next(iter(self._facts))][0] if self._facts else NEVER

    def get(self, key: Key, now_ns: int) -> tuple[int, ...] | None:
        """What is kept under a key; None where that is nothing, or may be forgotten by now."""
        found = self._facts.get(key)
        return None if found is None or found[0] <= now_ns else found[1]

    def count_of(self, desk: bytes, now_ns: int) -> int:
        """How many a desk has that have not expired."""
        count = self._counts.get(desk, 0)
        if count:
            for key, (expires_at_ns, _) in self._facts.items():
                if expires_at_ns > now_ns:
                    break
                count -= desk_in(key) == desk
        return count

    def add(self, key: Key, values: tuple[int, ...], expires_at_ns: int) -> int:
        """Keeps a fact, not less long than those before it; when it expires."""
        if self._facts:
            expires_at_ns = max(expires_at_ns, self._facts[next(reversed(self._facts))][0])
        self._facts[key] = (expires_at_ns, values)
        desk = desk_in(key)
        self._counts[desk] = self._counts.get(desk, 0) + 1
        return expires_at_ns

    def remove(self, key: Key) -> None:
        """Keeps it no longer."""
        del self._facts[key]
        self._discount(key)

    def forget_expired(self, now_ns: int) -> list[Key]:
        """Forgets what may be forgotten by now; their keys."""
        keys = []
        for key, (expires_at_ns, _) in self._facts.items():
            if expires_at_ns > now_ns:
                break
            keys.append(key)
        for key in keys:
            self.remove(key)
        return keys

    def entries(self) -> Iterator[tuple[Key, int, tuple[int, ...]]]:
        """All of them, in their order."""
        for key, (expires_at_ns, values) in self._facts.items():
            yield key, expires_at_ns, values

    def _discount(self, key: Key) -> None:
        desk = desk_in(key)
        self._counts[desk] -= 1
        if not self._counts[desk]:
            del self._counts[desk]


class KeptFacts:
    """See the module. `due`: keys of fills, of which the first is to be the next record."""

    def __init__(self) -> None:
        self.due: list[Key] = []
        self._cancels = Expiring()
        self._fills = Expiring()
        self.fills_of: dict[Key, list[Key]] = {}  # of orders' keys: their early fills
        self._collected = Expiring()
        self._amendments: dict[Key, Amendment] = {}

    @property
    def canceled(self) -> Container[Key]:
        """The keys of orders whose cancel is kept, be it one that may be forgotten."""
        return self._cancels.keys()

    @property
    def first_expires_at_ns(self) -> int:
        """When the first fact expires; NEVER where none does."""
        return min(queue.first_expires_at_ns for _, queue in self._queues())

    @property
    def is_empty(self) -> bool:
        """Is nothing kept?"""
        return not (self._cancels or self._fills or self._collected or self._amendments or self.due)

    def forget_expired(self, now_ns: int) -> list[Key]:
        """Forgets what may be forgotten by now; the keys of the fills that are kept no longer."""
        self._cancels.forget_expired(now_ns)
        self._collected.forget_expired(now_ns)
        keys = self._fills.forget_expired(now_ns)
        for key in keys:
            self._unlist(key)
        return keys

    # Cancels that came before their order.

    def has_room_for_cancel(self, desk: bytes, now_ns: int) -> bool:
        """May one more cancel of the desk be kept?"""
        return self._cancels.count_of(desk, now_ns) < EARLY_CANCELS_MAX

    def keep_cancel(self, order_key: Key, sequence: int, expires_at_ns: int) -> None:
        """Keeps the cancel that record `sequence` says."""
        self._cancels.add(order_key, (sequence,), expires_at_ns)

    def cancel_of(self, order_key: Key, now_ns: int) -> int:
        """The record of the kept cancel of an order; 0 where there is none."""
        found = self._cancels.get(order_key, now_ns)
        return 0 if found is None else found[0]

    # Fills that came before their order.

    def has_room_for_fill(self, order_key: Key) -> bool:
        """May one more fill of that order be kept? After `forget_expired`."""
        desk = desk_in(order_key)
        return (
            len(self.fills_of.get(order_key, ())) < EARLY_FILLS_OF_ORDER_MAX
            and self._fills.count_of(desk, 0) < EARLY_FILLS_MAX
        )

    def keep_fill(self, fill_key: Key, expires_at_ns: int) -> int:
        """Keeps a fill for its order; when it expires."""
        self.fills_of.setdefault(order_in(fill_key), []).append(fill_key)
        return self._fills.add(fill_key, (), expires_at_ns)

    def meet(self, order_key: Key) -> None:
        """The order was admitted: what is kept of its fills is due. After `forget_expired`."""
        for key in list(self.fills_of.get(order_key, ())):
            if key not in self._amendments:  # of the others a person has said what is to become
                self._unlist(key)
                self._fills.remove(key)
                self.due.append(key)

    def _unlist(self, fill_key: Key) -> None:
        order_key = order_in(fill_key)
        keys = self.fills_of.get(order_key)
        if keys is not None and fill_key in keys:
            keys.remove(fill_key)
            if not keys:
                del self.fills_of[order_key]

    # What canceled orders paid of a debt.

    def keep_collected(self, order_key: Key, microcents: int, expires_at_ns: int) -> None:
        """Keeps what the cancel of an order collected, for as long as the order."""
        self._collected.add(order_key, (microcents,), expires_at_ns)

    def collected_of(self, order_key: Key, now_ns: int) -> int:
        """What its cancel collected."""
        found = self._collected.get(order_key, now_ns)
        return 0 if found is None else found[0]

    # What people said of fills.

    def amendment_of(self, fill_key: Key, fill_sequence: int) -> Amendment:
        """What was said of the fill that record `fill_sequence` says."""
        found = self._amendments.get(fill_key)
        if found is None or found.fill_sequence != fill_sequence:
            return Amendment(fill_sequence)
        return found

    def amend(
        self, fill_key: Key, amendment: Amendment, is_remembered: Callable[[Key, int], bool]
    ) -> None:
        """Keeps what was said of a fill, for as long as the fill.

        What has gone goes with one in half as many as there are, so that each costs the same
        however many they are; which one, the record's number says, and no order of theirs.
        """
        if amendment.fill_sequence % (len(self._amendments) // 2 + 1) == 0:
            for key, kept in list(self._amendments.items()):
                if not is_remembered(key, kept.fill_sequence):
                    del self._amendments[key]
        self._amendments[fill_key] = amendment

    def fill_keys(self) -> Iterator[Key]:
        """Of all early fills and those that are due: each is remembered beside the orders."""
        for key, _, _ in self._fills.entries():
            yield key
        yield from self.due

    @property
    def has_amendments(self) -> bool:
        """Was anything said of any fill?"""
        return bool(self._amendments)

    # Checkpoints.

    def dump(self) -> Iterator[bytes]:
        """All that is kept, an entry each: equal for equal histories."""
        for kind, queue in self._queues():
            for key, expires_at_ns, values in queue.entries():
                yield msgspec.msgpack.encode((kind, key, expires_at_ns, values))
        for key, amendment in sorted(self._amendments.items()):
            yield msgspec.msgpack.encode(("amendment", key, 0, amendment))
        for key in self.due:
            yield msgspec.msgpack.encode(("due", key, 0, ()))

    def load(self, entries: Iterable[bytes]) -> None:
        """Becomes what `dump` wrote."""
        queues = dict(self._queues())
        for entry in entries:
            kind, key, expires_at_ns, values = _decode_entry(entry)
            if key.count(b"\0") != _NULS[kind]:
                raise ValueError(f"{key!r} is no key of a kept {kind}")
            if kind == "due":
                self.due.append(key)
            elif kind == "amendment":
                self._amendments[key] = msgspec.convert(values, Amendment)
            else:
                numbers = msgspec.convert(values, _NUMBERS[kind])
                if queues[kind].get(key, 0) is not None:
                    raise ValueError(f"{key!r} is kept twice")
                queues[kind].add(key, numbers, expires_at_ns)
                if kind == "fill":
                    self.fills_of.setdefault(order_in(key), []).append(key)

    def _queues(self) -> list[tuple[str, Expiring]]:
        return [("cancel", self._cancels), ("fill", self._fills), ("collected", self._collected)]


_Kind: TypeAlias = Literal["cancel", "fill", "collected", "amendment", "due"]
_Entry: TypeAlias = tuple[_Kind, bytes, int, list[int | bool | None]]
_decode_entry: Final = msgspec.msgpack.Decoder(_Entry).decode
_NULS: Final = {"cancel": 1, "fill": 2, "collected": 1, "amendment": 2, "due": 2}
_NUMBERS: Final = {"cancel": tuple[int], "fill": tuple[()], "collected": tuple[int]}
