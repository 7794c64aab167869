"""What is kept of executions that a drop copy reports, beside the orders. Pure.

Owns the fills that no execution has confirmed yet (`unconfirmed`: of orders for which limits say
that there is a drop copy), the executions whose fill has not come yet (`unreported`), and those of
orders that are not known (`unknown`, each as long as an unknown fill). Of executions whose order is
known the identity is a row beside the order's fills, counted with them and forgotten with them
(`guard.engine.remembered_rows`); what is kept here goes when its order has gone, a few looked at
with each one that is added.

Keys are those of `guard.engine.remembered`: a desk, an order's id, a fill's id, with a NUL between
them; of an execution's identity the desk, nothing, venue and execution id.

How it fails: `ValueError` for an entry of a checkpoint that is none of its own.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final, Literal, NamedTuple, TypeAlias

import msgspec

from guard.engine.facts import Expiring
from guard.engine.positions import NO_POSITION

# Of one desk: as many as early fills.
UNKNOWN_MAX: Final = 10_000
_LOOKED_AT: Final = 2  # with each one that is added
_NULS: Final = 2

Key: TypeAlias = bytes


class Unconfirmed(NamedTuple):
    """A fill: its record and when it came, its position's row, its side, its lots that would count
    as confirmed."""

    sequence: int
    at_ns: int
    position_row: int
    side: int
    lots: int


class Unreported(NamedTuple):
    """An execution that moved position and hold before its fill: its record, when, what it says.

    `is_other`: of another symbol or side than its order's, 1 or 0. The rest: what it moved, in
    which position's row (NO_POSITION: in none), on which side, its lots that counted as confirmed.
    """

    sequence: int
    at_ns: int
    quantity: int
    price: int
    is_other: int = 0
    position_row: int = NO_POSITION
    side: int = 0
    confirmed: int = 0
    microcents: int = 0


class Executions:
    """See the module."""

    def __init__(self) -> None:
        self.unconfirmed: dict[Key, Unconfirmed] = {}
        self.unreported: dict[Key, Unreported] = {}
        self.unknown = Expiring()

    def keep_unconfirmed(
        self, key: Key, fill: Unconfirmed, is_remembered: Callable[[Key], bool]
    ) -> None:
        """A fill that an execution is to confirm."""
        _drop_forgotten(self.unconfirmed, is_remembered)
        self.unconfirmed[key] = fill

    def keep_unreported(
        self, key: Key, execution: Unreported, is_remembered: Callable[[Key], bool]
    ) -> None:
        """An execution whose fill may come yet."""
        _drop_forgotten(self.unreported, is_remembered)
        self.unreported[key] = execution

    def keep_unknown(self, key: Key, values: tuple[int, ...], expires_at_ns: int) -> None:
        """One of an order that is not known, where there is room for it."""
        desk = key[: key.index(b"\0")]
        if self.unknown.count_of(desk, 0) < UNKNOWN_MAX:
            self.unknown.add(key, values, expires_at_ns)

    # Checkpoints.

    def dump(self) -> Iterator[bytes]:
        """All that is kept, an entry each: equal for equal histories."""
        for key, fill in self.unconfirmed.items():
            yield msgspec.msgpack.encode(("unconfirmed", key, 0, fill))
        for key, execution in self.unreported.items():
            yield msgspec.msgpack.encode(("unreported", key, 0, execution))
        for key, expires_at_ns, values in self.unknown.entries():
            yield msgspec.msgpack.encode(("unknown", key, expires_at_ns, values))

    def load(self, entries: Iterable[bytes]) -> None:
        """Becomes what `dump` wrote."""
        for entry in entries:
            kind, key, expires_at_ns, values = _decode_entry(entry)
            if key.count(b"\0") != _NULS:
                raise ValueError(f"{key!r} is no key of an execution")
            kept: dict[str, dict[Key, tuple[int, ...]]] = {
                "unconfirmed": self.unconfirmed,  # type: ignore[dict-item]
                "unreported": self.unreported,  # type: ignore[dict-item]
            }
            if kind == "unknown":
                if self.unknown.get(key, 0) is not None:
                    raise ValueError(f"{key!r} is kept twice")
                self.unknown.add(key, tuple(values), expires_at_ns)
                continue
            if key in kept[kind]:
                raise ValueError(f"{key!r} is kept twice")
            kept[kind][key] = msgspec.convert(values, _SHAPES[kind])


def _drop_forgotten(
    kept: dict[Key, Unconfirmed] | dict[Key, Unreported], is_remembered: Callable[[Key], bool]
) -> None:
    """Looks at the oldest few: those whose order has gone go, too, the others stand last then."""
    for _ in range(min(_LOOKED_AT, len(kept))):
        key = next(iter(kept))
        value = kept.pop(key)
        if is_remembered(key):
            kept[key] = value  # type: ignore[assignment]


_Kind: TypeAlias = Literal["unconfirmed", "unreported", "unknown"]
_Entry: TypeAlias = tuple[_Kind, bytes, int, list[int]]
_decode_entry: Final = msgspec.msgpack.Decoder(_Entry).decode
_SHAPES: Final[dict[str, type[Unconfirmed] | type[Unreported]]] = {
    "unconfirmed": Unconfirmed,
    "unreported": Unreported,
}
