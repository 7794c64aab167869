# cython: annotation_typing=False, nonecheck=True
"""Which orders were admitted lately, by what they ask for: what a duplicate is held against. Pure.

Owns the memory of them: desk, symbol, side, price and quantity, and when. It is bounded: what is
older than the longest window goes, and beyond `RECENT_MAX` the oldest, as if its window were over.

How it works: what was noted has a number, one more than the one before, and stands in a ring at the
place of its number. Those whose keys have the same hash are a chain, the newest first: each says
the number of the one before it. So a chain ends where a number is too old, and what goes needs to
be taken out of nothing.
"""

from typing import Final

from guard.protocol import json_text as text
from guard.protocol.request import TEXTS, Request
from kernel import little_endian as le

RECENT_MAX: Final = 65_536  # about 10 MB; a power of two
NEVER: Final = -1
_KEY_BYTES_MAX = 88  # three integers, and two names of 32
_NEVER = NEVER
_RECENT_MAX, _PLACE_MASK = RECENT_MAX, RECENT_MAX - 1
_DESK_AT, _SYMBOL_AT = TEXTS["desk"][0], TEXTS["symbol"][0]


class Recent:
    """The memory. `window_ns`: the longest for which anything is asked; 0: nothing is kept."""

    def __init__(self) -> None:
        self.window_ns = 0
        self._first = self._end = 1  # the number of the oldest, and of the next
        # Of what was noted its key, when, and the number before it in its chain; and of each chain
        # the newest one's. Made when they are needed.
        self._keys: list[bytes] = []
        self._times = self._before = self._newest = bytearray()
        self._buffer = bytearray(_KEY_BYTES_MAX)
        self._asked = b""  # the key that was worked out last
        self._tried: set[bytes] | None = None  # what a trial notes, all of it now; None: no trial

    def _key(self, request: Request) -> bytes:
        """The numbers, of which the first says how long the desk's name is, and both names.

        An order is asked for and then noted: the same key, which is then hashed already.
        """
        buffer = self._buffer
        le.store_u64(buffer, 0, request.desk_bytes * 2 + request.side)
        le.store_u64(buffer, 8, request.price)
        le.store_u64(buffer, 16, request.quantity)
        at = text.put_slice(buffer, 24, request.texts, _DESK_AT, request.desk_bytes)
        at = text.put_slice(buffer, at, request.texts, _SYMBOL_AT, request.symbol_bytes)
        if at != len(self._asked) or not le.are_equal(buffer, self._asked, at):
            self._asked = le.bytes_of(buffer, at)
        return self._asked

    def since(self, request: Request) -> int:
        """How long ago the same was admitted; NEVER."""
        key = self._key(request)
        if self._tried is not None and key in self._tried:
            return 0
        if self._first == self._end:
            return _NEVER
        number = le.load_i64(self._newest, 8 * (hash(key) & _PLACE_MASK))
        while number >= self._first:
            place = number & _PLACE_MASK
            known = self._keys[place]
            if known == key:
                return request.elapsed_ns - le.load_i64(self._times, 8 * place)
            number = le.load_i64(self._before, 8 * place)
        return _NEVER

    def note(self, request: Request) -> int:
        """The order is admitted now."""
        if self._tried is not None:
            self._tried.add(self._key(request))
            return 0
        elapsed_ns = request.elapsed_ns
        while self._first < self._end:
            at_ns = le.load_i64(self._times, 8 * (self._first & _PLACE_MASK))
            if elapsed_ns - at_ns < self.window_ns and self._end - self._first < _RECENT_MAX:
                break
            self._first += 1
        return self._append(self._key(request), elapsed_ns)

    def _append(self, key: bytes, elapsed_ns: int) -> int:
        if len(self._keys) == 0:
            self._keys = [b""] * _RECENT_MAX
            self._times = bytearray(8 * _RECENT_MAX)
            self._before = bytearray(8 * _RECENT_MAX)
            self._newest = bytearray(8 * _RECENT_MAX)
        place, chain = self._end & _PLACE_MASK, hash(key) & _PLACE_MASK
        self._keys[place] = key
        le.store_i64(self._times, 8 * place, elapsed_ns)
        le.store_i64(self._before, 8 * place, le.load_i64(self._newest, 8 * chain))
        le.store_i64(self._newest, 8 * chain, self._end)
        self._end += 1
        return 0

    def begin_trial(self) -> None:
        """What is noted from here on is known until `end_trial`, and changes nothing else."""
        self._tried = set()

    def end_trial(self) -> None:
        """It is as it was."""
        self._tried = None

    def dump(self) -> list[tuple[int, str]]:
        """What is remembered, the oldest first."""
        found = []
        for number in range(self._first, self._end):
            place = number & _PLACE_MASK
            found.append((le.load_i64(self._times, 8 * place), self._keys[place].hex()))
        return found

    def load(self, entries: list[tuple[int, str]]) -> None:
        """What `dump` gave. Raises ValueError where that cannot be."""
        last_ns = 0
        if len(entries) > RECENT_MAX:
            raise ValueError(f"{len(entries)} recent orders; must be at most {RECENT_MAX}")
        for at_ns, digits in entries:
            key = bytes.fromhex(digits)
            if at_ns < last_ns or not 24 < len(key) <= _KEY_BYTES_MAX:
                raise ValueError(f"a recent order is {digits!r} at {at_ns}, which none can be")
            last_ns = at_ns
            self._append(key, at_ns)

    def forget(self) -> None:
        """Nothing is asked any more."""
        self._keys = []
        self._times = self._before = self._newest = bytearray()
        self._first = self._end = 1
