# cython: annotation_typing=False, nonecheck=True
"""Which orders were admitted lately, by what they ask for: what a duplicate is held against. Pure.

Owns the memory of them: desk, symbol, side, price and quantity, and when. It is bounded: what is
older than the longest window goes, and beyond `RECENT_MAX` the oldest, as if its window were over.
"""

from collections import deque
from typing import Final

from guard.protocol.request import TEXTS, Request
from kernel import little_endian as le

RECENT_MAX: Final = 65_536  # about 15 MB
NEVER: Final = -1
_KEY_BYTES_MAX: Final = 96  # two names of 32, and three integers with what is between
_NEVER = NEVER
_RECENT_MAX = RECENT_MAX
_DESK_AT, _SYMBOL_AT = TEXTS["desk"][0], TEXTS["symbol"][0]


class Recent:
    """The memory. `window_ns`: the longest for which anything is asked; 0: nothing is kept."""

    def __init__(self) -> None:
        self.window_ns = 0
        self._at_ns: dict[bytes, int] = {}
        self._queue: deque[tuple[int, bytes]] = deque()
        self._numbers = bytearray(24)

    def _key(self, request: Request) -> bytes:
        numbers = self._numbers
        le.store_u64(numbers, 0, request.side)
        le.store_u64(numbers, 8, request.price)
        le.store_u64(numbers, 16, request.quantity)
        desk = le.bytes_at(request.texts, _DESK_AT, request.desk_bytes)
        symbol = le.bytes_at(request.texts, _SYMBOL_AT, request.symbol_bytes)
        return desk + b" " + symbol + b" " + bytes(numbers)

    def since(self, request: Request) -> int:
        """How long ago the same was admitted; NEVER."""
        at_ns = self._at_ns.get(self._key(request))
        return _NEVER if at_ns is None else request.elapsed_ns - at_ns

    def note(self, request: Request) -> int:
        """The order is admitted now."""
        queue = self._queue
        elapsed_ns = request.elapsed_ns
        while queue and (elapsed_ns - queue[0][0] >= self.window_ns or len(queue) >= _RECENT_MAX):
            at_ns, key = queue.popleft()
            if self._at_ns[key] == at_ns:
                del self._at_ns[key]
        key = self._key(request)
        if self._at_ns.get(key) != elapsed_ns:
            self._at_ns[key] = elapsed_ns
            queue.append((elapsed_ns, key))
        return 0

    def dump(self) -> list[tuple[int, str]]:
        """What is remembered, the oldest first."""
        return [(at_ns, key.hex()) for at_ns, key in self._queue]

    def load(self, entries: list[tuple[int, str]]) -> None:
        """What `dump` gave. Raises ValueError where that cannot be."""
        last_ns = 0
        if len(entries) > RECENT_MAX:
            raise ValueError(f"{len(entries)} recent orders; must be at most {RECENT_MAX}")
        for at_ns, text in entries:
            key = bytes.fromhex(text)
            if at_ns < last_ns or len(key) > _KEY_BYTES_MAX:
                raise ValueError(f"a recent order is {text!r} at {at_ns}, which none can be")
            last_ns = at_ns
            self._at_ns[key] = at_ns
            self._queue.append((at_ns, key))

    def forget(self) -> None:
        """Nothing is asked any more."""
        self._at_ns.clear()
        self._queue.clear()
