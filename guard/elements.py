# cython: annotation_typing=False, nonecheck=True
"""Where the requests of a MessagePack body begin and end. Pure.

Owns the look at a body before anything of it is decided: whether it is made of requests that can be
answered one by one, and where each stands. It judges no request: that is `guard.order_lane`'s and
`guard.wire`'s. It runs as it stands, or compiled with the types of `elements.pxd` beside it.

How it works: an element is passed over by its heads alone. It must be a map of short keys and plain
values, whose first key, and no other, is its type, and that type one whose reply is known at once.

How it fails: it does not. `split` gives NOT_PLAIN for any other body, and `guard.wire` takes it as
a whole.
"""

from typing import Final

from guard import packing
from guard.wire import BODY_BYTES_MAX, REQUESTS_PER_MESSAGE_MAX

NOT_PLAIN = -1  # as in guard.packing

_BODY_BYTES_MAX, _REQUESTS_MAX = BODY_BYTES_MAX, REQUESTS_PER_MESSAGE_MAX
# A ping and a question for the counters are answered when the reply leaves.
_TYPES: Final = [
    b"\xa4type\xa5order",
    b"\xa4type\xa4fill",
    b"\xa4type\xa6cancel",
    b"\xa4type\xa6status",
]
_TYPE_COUNT = len(_TYPES)
_TYPE_KEY: Final = b"\xa4type"


class Elements:
    """The requests of the body that was split last: `ends[i]` is the offset behind the i-th."""

    def __init__(self) -> None:
        self.ends = [0] * 256
        self.is_array = False
        self.first_at = 0

    def split(self, body: bytes) -> int:
        """How many requests the body holds, each found; or NOT_PLAIN."""
        end = len(body)
        if not 0 < end <= _BODY_BYTES_MAX:
            return NOT_PLAIN
        head = body[0]
        self.is_array = True
        if 0x90 <= head <= 0x9F:
            count = head & 0x0F
            at = 1
        elif head == 0xDC and end >= 3:
            count = body[1] << 8 | body[2]
            at = 3
        else:
            self.is_array = False
            count = 1
            at = 0
        if not 0 < count <= _REQUESTS_MAX:
            return NOT_PLAIN
        self.first_at = at
        for index in range(count):
            at = request_end(body, at, end)
            if at < 0:
                return NOT_PLAIN
            self.ends[index] = at
        return count if at == end else NOT_PLAIN


def request_end(body: bytes, at: int, end: int) -> int:
    """The offset behind the request there; NOT_PLAIN where `guard.wire` must see the whole body."""
    count = packing.map_count(body, at, end)
    if count <= 0:
        return NOT_PLAIN
    at += packing.map_head_bytes(body, at)
    if not begins_with_type(body, at, end):
        return NOT_PLAIN
    for index in range(count):
        if at >= end or not 0xA0 <= body[at] <= 0xBF:
            return NOT_PLAIN
        if index > 0 and packing.stands_at(body, at, end, _TYPE_KEY):
            return NOT_PLAIN  # of a key that stands twice the last one counts
        at = packing.value_end(body, at + 1 + (body[at] & 0x1F), end)
        if at < 0:
            return NOT_PLAIN
    return at


def begins_with_type(body: bytes, at: int, end: int) -> bool:
    """Does a key and value stand there that is a type whose reply is known at once?"""
    for index in range(_TYPE_COUNT):  # noqa: SIM110, a loop in C
        if packing.stands_at(body, at, end, _TYPES[index]):
            return True
    return False
