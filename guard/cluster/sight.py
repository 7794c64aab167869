"""What a standby knows of the guard that it follows: where that is, and how far behind it may be.

Owns the two figures that its answers are marked with. Pure: times come in, monotonic.

How it works: a look at the log's row that finds a new sign of life proves that the writer wrote it,
by the node that was asked, behind the look before. So all that was answered until that look stands
in the row's head, and once the local log has that head, the state is as old as the look at most. A
look that finds the same sign of life again proves nothing: an old primary that is cut off shows
it for ever. Until one has vouched for a look, the state is as old as the time when its last record
was taken in, by whoever wrote it: all that was answered until then stands before that record.
`records` is what the row has beyond what is folded, as far as it was seen.
"""

from collections import deque
from typing import Final, NamedTuple

from guard.cluster.epochs import LogRow
from guard.protocol.value_types import Behind

# Looks that are not caught up with: some 20 s of them, then several count as one.
LOOKS_MAX: Final = 1_024


class _Look(NamedTuple):
    since_ns: int
    sequence: int


class Sight:
    """Of one standby. `serves_at`: where the serving guard is reached, empty where not known.

    `is_known`: has it had all that there was, at any time yet, as a sign of life has vouched?
    """

    def __init__(self, now_ns: int) -> None:
        self.serves_at = ""
        self.is_known = False
        self._caught_up_ns = now_ns
        self._looked_ns = now_ns
        self._sign: tuple[int, int] | None = None
        self._seen_sequence = self._folded_sequence = 0
        self._looks: deque[_Look] = deque()

    def look(self, begun_ns: int, row: LogRow) -> None:
        """The row that a look, begun then, has found."""
        self.serves_at = row.serves_at
        self._seen_sequence = max(self._seen_sequence, row.head.sequence)
        sign = (row.epoch, row.beat)
        if self._sign is not None and sign != self._sign:
            if len(self._looks) == LOOKS_MAX:
                self._looks.pop()
            self._looks.append(_Look(self._looked_ns, row.head.sequence))
        self._sign, self._looked_ns = sign, begun_ns
        self._settle()

    def lose(self) -> None:
        """The next look is the first one again: another node may be the one that is asked."""
        self._sign = None

    def fold(self, sequence: int, taken_in_ns: int) -> None:
        """The local log ends with that record now. `taken_in_ns`: when its writer took it in, as
        this machine's clocks have it.
        """
        if sequence < self._folded_sequence:  # its end was another log's
            self.is_known = False
        if not self.is_known:
            self._caught_up_ns = taken_in_ns
        self._folded_sequence = sequence
        self._settle()

    def behind(self, now_ns: int) -> Behind:
        """How it stands."""
        records = max(0, self._seen_sequence - self._folded_sequence)
        return Behind(records, max(0, now_ns - self._caught_up_ns))

    def _settle(self) -> None:
        while self._looks and self._looks[0].sequence <= self._folded_sequence:
            self._caught_up_ns = self._looks.popleft().since_ns
            self.is_known = True
