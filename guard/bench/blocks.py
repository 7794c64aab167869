"""The bytes of many requests at once, made beforehand but for what tells their ids apart. Pure.

Owns how a client's endless requests come from a ring of a few hundred: in each, the id is complete
but for the client and the lap, for which a stand-in of the same width is in its place. A lap of a
block is one call that puts its parts together: a tenth of what it takes to format each request, and
the generator shares its machine's processors with the daemon that it measures.

A request of the lap before (an order that a fill is of) has a stand-in of its own.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate, islice
from typing import Final

THIS_LAP: Final = "LLL-7777777"  # of the width of what replaces them: client, lap
LAP_BEFORE: Final = "LLL-6666666"
LAPS_MAX: Final = 10**7
PLACE_DIGITS: Final = 5  # what a ring's requests add, to complete twelve digits of a number
BLOCK_REQUESTS: Final = 256


@dataclass(frozen=True, slots=True)
class Block:
    """Requests one behind the other; request n of them is `ends[n]` to `ends[n + 1]`."""

    parts: tuple[bytes, ...]  # with the lap's name between each two
    ends: tuple[int, ...]
    has_lap_before: bool


def lap_name(link: int, lap: int) -> str:
    """What a stand-in stands for."""
    return f"{link:03d}-{lap:07d}"


def make_ring(requests: Iterable[bytes]) -> tuple[Block, ...]:
    """Blocks of requests, in which the stand-ins are."""
    blocks = []
    source = iter(requests)
    while part := list(islice(source, BLOCK_REQUESTS)):
        data = b"".join(part)
        ends = tuple(accumulate(map(len, part), initial=0))
        parts = tuple(data.split(THIS_LAP.encode()))
        blocks.append(Block(parts, ends, LAP_BEFORE.encode() in data))
    return tuple(blocks)


class Laps:
    """One client's way round a ring."""

    def __init__(self, ring: tuple[Block, ...], link: int, first_lap: int) -> None:
        """`link`: the client's number, below 1,000. In lap 0 nothing may be of the lap before."""
        self._ring = ring
        self._link = link
        self._lap = first_lap
        self._block = 0
        self._place = 0
        self._data = self._make()

    def take(self, count: int) -> bytes:
        """The next `count` requests."""
        first, beyond = self._place, self._place + count
        ends = self._ring[self._block].ends
        if beyond < len(ends):
            self._place = beyond
            return self._data[ends[first] : ends[beyond]]
        parts = []
        while count:
            ends = self._ring[self._block].ends
            if self._place == len(ends) - 1:
                self._turn()
                continue
            beyond = min(self._place + count, len(ends) - 1)
            parts.append(self._data[ends[self._place] : ends[beyond]])
            count -= beyond - self._place
            self._place = beyond
        return b"".join(parts)

    def _turn(self) -> None:
        self._block += 1
        if self._block == len(self._ring):
            self._block = 0
            self._lap += 1
        self._place = 0
        self._data = self._make()

    def _make(self) -> bytes:
        """This block in this lap."""
        assert self._lap < LAPS_MAX
        block = self._ring[self._block]
        data = lap_name(self._link, self._lap).encode().join(block.parts)
        if block.has_lap_before:
            before = lap_name(self._link, self._lap - 1)
            data = data.replace(LAP_BEFORE.encode(), before.encode())
        return data
