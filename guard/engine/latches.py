"""What has set a place to `reducing` until a person lifts it. Pure.

Owns the latches: each of a desk in a symbol, of a desk (OF_ALL as its symbol), of a symbol (OF_ALL
as its desk) or of the firm (both), of a kind (`LatchKind`), with the record that set it. One that
is set already stays as it is. Records set them as they are applied, those of a `NotedKind` by a
record of their own (`latch_set`), and a loss by its own (`loss_breached`); a person lifts one by a
record that says why (`latch_lifted`), not while what set it is so still
(`guard.engine.latch_lifting`), and nothing else ever does, no restart either.

How it fails: `InvariantError` where one is lifted that is not set; `ValueError` for a dump that
cannot be.
"""

from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Final, Literal, TypeAlias

from kernel import InvariantError

# Why: fills and executions differ; no drop copy has confirmed since the start what there is; the
# same was executed again and again; reducing orders that work are beyond their position; a client
# that has to show signs of life shows none; more was lost since the day's turn than may be.
NotedKind: TypeAlias = Literal["silence"]
LatchKind: TypeAlias = (
    Literal["execution_differs", "reconciliation", "repeated_executions", "surplus", "loss"]
    | NotedKind
)
LATCH_KINDS: Final[tuple[str, ...]] = (
    "execution_differs",
    "reconciliation",
    "repeated_executions",
    "surplus",
    "silence",
    "loss",
)
LATCHES_SINCE_RULES: Final = 3
OF_ALL: Final = ""  # in the place of a desk, or of a symbol

# Desk, symbol (OF_ALL in the place of either), kind, the record.
LatchEntry: TypeAlias = tuple[str, str, str, int]


def is_place(desk: str, symbol: str, desks: Container[str], symbols: Container[str]) -> bool:
    """Are there such a desk and such a symbol, where they are named?"""
    return (desk == OF_ALL or desk in desks) and (symbol == OF_ALL or symbol in symbols)


def place_words(desk: str, symbol: str) -> str:
    """A latch's place, for people."""
    if desk == OF_ALL:
        return f"symbol {symbol}" if symbol else "firm"
    return f"desk {desk} in {symbol}" if symbol else f"desk {desk}"


class Latches:
    """All that are set. `moves`: how many times one was set or lifted, for who watches."""

    def __init__(self) -> None:
        self.moves = 0
        self._set: dict[tuple[str, str], dict[str, int]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._set.values()))

    def has(self, desk: str, symbol: str) -> bool:
        """Is any set of that very place?"""
        return (desk, symbol) in self._set

    def of(self, desk: str, symbol: str) -> Mapping[str, int]:
        """Those that are, each with the record that set it."""
        return self._set.get((desk, symbol), {})

    def put(self, desk: str, symbol: str, kind: str, sequence: int) -> None:
        """Record `sequence` sets one."""
        kinds = self._set.setdefault((desk, symbol), {})
        if kind not in kinds:
            kinds[kind] = sequence
            self.moves += 1

    def lift(self, desk: str, symbol: str, kind: str) -> None:
        """A person lifts one."""
        kinds = self._set.get((desk, symbol), {})
        if kind not in kinds:
            raise InvariantError(f"latch {kind} of {desk}/{symbol} is lifted, and is not set")
        del kinds[kind]
        self.moves += 1
        if not kinds:
            del self._set[desk, symbol]

    def entries(self) -> Iterator[LatchEntry]:
        """All of them, sorted."""
        for (desk, symbol), kinds in sorted(self._set.items()):
            for kind, sequence in sorted(kinds.items()):
                yield desk, symbol, kind, sequence

    def load(
        self,
        entries: Iterable[LatchEntry],
        desks: Container[str],
        symbols: Container[str],
        next_sequence: int,
    ) -> None:
        """What `entries` gave, of a state with these names and records."""
        last: LatchEntry | None = None
        for entry in entries:
            desk, symbol, kind, sequence = entry
            if last is not None and entry[:3] <= last[:3]:
                raise ValueError(f"latches: {entry} does not stand behind {last}")
            if not is_place(desk, symbol, desks, symbols):
                raise ValueError(f"latches: {desk}/{symbol} is no desk, or no symbol")
            if kind not in LATCH_KINDS or not 0 < sequence < next_sequence:
                raise ValueError(f"latches: {entry} is none of a state before {next_sequence}")
            self.put(*entry)
            last = entry
