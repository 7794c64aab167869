# cython: annotation_typing=False, nonecheck=True
"""Where the requests of a MessagePack body begin and end. Pure.

Owns the look at a body before anything of it is decided: whether it is made of requests that can be
answered one by one, and where each stands. It judges no request: that is `guard.order_lane`'s and
`guard.wire`'s. It runs as it stands, or compiled with the types of `elements.pxd` beside it.

How it works: an element is passed over by its heads alone. It must be a map whose first key is its
type, and that type one whose reply is known at once.

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
            if not begins_request(body, at, end):
                return NOT_PLAIN
            at = pass_over(body, at, end)
            if at < 0:
                return NOT_PLAIN
            self.ends[index] = at
        return count if at == end else NOT_PLAIN


def begins_request(body: bytes, at: int, end: int) -> bool:
    """Does a map stand there that begins with a type whose reply is known at once?"""
    if at >= end:
        return False
    if 0x80 <= body[at] <= 0x8F:
        at += 1
    elif body[at] == 0xDE:
        at += 3
    else:
        return False
    for index in range(_TYPE_COUNT):  # noqa: SIM110, a loop in C
        if packing.stands_at(body, at, end, _TYPES[index]):
            return True
    return False


def pass_over(body: bytes, at: int, end: int) -> int:
    """The offset behind the value there, or NOT_PLAIN for what no request holds or is cut short."""
    left = 1  # values still to be passed over
    while left > 0:
        if at >= end:
            return NOT_PLAIN
        left -= 1
        head = body[at]
        at += 1
        if head < 0x80 or head >= 0xE0 or (0xC0 <= head <= 0xC3 and head != 0xC1):
            continue
        if head <= 0x8F:
            left += 2 * (head & 0x0F)
        elif head <= 0x9F:
            left += head & 0x0F
        elif head <= 0xBF:
            at += head & 0x1F
        elif head == 0xD9 and at < end:
            at += 1 + body[at]
        elif 0xCA <= head <= 0xD3:
            at += scalar_bytes(head)
        elif head == 0xDE and at + 2 <= end:
            left += 2 * (body[at] << 8 | body[at + 1])
            at += 2
        else:
            return NOT_PLAIN
    return at if at <= end else NOT_PLAIN


def scalar_bytes(head: int) -> int:
    """How many bytes stand behind the head of a number: floats, unsigned, signed."""
    if head <= 0xCB:
        return 4 << (head - 0xCA)
    return 1 << (head & 3)
