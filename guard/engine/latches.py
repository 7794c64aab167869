"""What has set a desk, or a desk in a symbol, to `reducing` until a person lifts it. Pure.

Owns the latches: each of a desk ("" as its symbol) or of a desk in one symbol, of a kind
(`LatchKind`), with the record that set it. One that is set already stays as it is. Records set them
as they are applied; a person lifts one by a record that says why (`latch_lifted`), and nothing
else ever does, no restart either.

How it fails: `InvariantError` where one is lifted that is not set; `ValueError` for a dump that
cannot be.
"""

from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Final, Literal, TypeAlias, get_args

from kernel import InvariantError

# Why: fills and executions differ; no drop copy has confirmed since the start what there is; the
# same was executed again and again.
LatchKind: TypeAlias = Literal["execution_differs", "reconciliation", "repeated_executions"]
LATCH_KINDS: Final[tuple[str, ...]] = get_args(LatchKind)
LATCHES_SINCE_RULES: Final = 3
OF_DESK: Final = ""  # in the place of a symbol

# Desk, symbol or OF_DESK, kind, the record.
LatchEntry: TypeAlias = tuple[str, str, str, int]


class Latches:
    """All that are set."""

    def __init__(self) -> None:
        self._set: dict[tuple[str, str], dict[str, int]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._set.values()))

    def has(self, desk: str, symbol: str) -> bool:
        """Is any set of that desk in that symbol; of the whole desk, where that is OF_DESK?"""
        return (desk, symbol) in self._set

    def of(self, desk: str, symbol: str) -> Mapping[str, int]:
        """Those that are, each with the record that set it."""
        return self._set.get((desk, symbol), {})

    def put(self, desk: str, symbol: str, kind: str, sequence: int) -> None:
        """Record `sequence` sets one."""
        self._set.setdefault((desk, symbol), {}).setdefault(kind, sequence)

    def lift(self, desk: str, symbol: str, kind: str) -> None:
        """A person lifts one."""
        kinds = self._set.get((desk, symbol), {})
        if kind not in kinds:
            raise InvariantError(f"latch {kind} of {desk}/{symbol} is lifted, and is not set")
        del kinds[kind]
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
            if desk not in desks or not (symbol == OF_DESK or symbol in symbols):
                raise ValueError(f"latches: {desk}/{symbol} is no desk, or no symbol")
            if kind not in LATCH_KINDS or not 0 < sequence < next_sequence:
                raise ValueError(f"latches: {entry} is none of a state before {next_sequence}")
            self.put(*entry)
            last = entry
