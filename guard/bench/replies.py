"""What comes back, told apart at little cost: the guard's replies, Redis's, an echo's. Pure.

Owns how a buffer of received bytes is cut into replies and how these are counted. A reply of the
guard begins with its type, of which the fifth letter is enough; only refusals are decoded, for
their reason. Replies of one length that follow one another, as under load nearly all do, are looked
at together, in slices with that length as their step.

How it fails: `LinkError` for what is no reply.
"""

from collections import Counter
from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from guard.bench.frames import FRAME_HEAD_BYTES, LinkError, array_head, pong_to, run_of, scan

_FIFTH_LETTERS: Final = {
    ord(name[4]): name for name in ("admit", "reject", "filled", "released", "error", "status")
}
_FIFTH_LETTER_AT: Final = 11  # the map's head, "type" with its head, the value's head, four letters
_REFUSALS: Final = frozenset(b"cr")  # reject, error
_TYPE_KEY: Final = b"\xa4type"
_TYPE_KEY_AT: Final = 1
_LONG_MAP: Final = 0xDE
_ARRAY_HEADS: Final = frozenset((*range(0x90, 0xA0), 0xDC, 0xDD))
# As no other part of a reply can be: numbers are shorter, and text holds printable letters alone.
_ADMIT: Final = b"\xa4type\xa5admit"
RUN_MIN: Final = 4  # fewer are looked at sooner one by one


class Replies(Protocol):
    """Counts what arrives on one connection, and what has to be said to it."""

    messages: int
    kinds: Counter[str]
    reasons: Counter[str]
    outgoing: bytearray

    def take(self, received: bytearray) -> int:
        """Counts the whole replies in `received`; returns how many of its bytes they take."""


class _Refusal(msgspec.Struct):
    reason: str = ""
    code: str = ""


class _OneOfMany(msgspec.Struct):
    type: str
    reason: str = ""
    code: str = ""


_refusal: Final = msgspec.msgpack.Decoder(_Refusal)
_many: Final = msgspec.msgpack.Decoder(list[_OneOfMany])


class _Counts:
    """Nothing counted yet, and nothing to say."""

    def __init__(self) -> None:
        self.messages = 0
        self.kinds: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.outgoing = bytearray()


class GuardReplies(_Counts):
    """Replies of the guard in MessagePack, one a message or an array of them."""

    def __init__(self) -> None:
        super().__init__()
        self._received = bytearray()
        self._letters = [0] * 256
        self._on_body: Callable[[int, int], None] = self._count_body

    def take(self, received: bytearray) -> int:
        """Counts the whole replies in `received`; returns how many of its bytes they take."""
        self._received = received
        at, before = 0, -1
        while at != before:
            before = at
            count, apart = run_of(received, at)
            if count >= RUN_MIN and self._count_run(at, count, apart):
                at += count * apart
            else:
                until = at + max(count * apart, 1)
                at = scan(received, self._on_body, self._answer_command, at, until)
        for letter, name in _FIFTH_LETTERS.items():
            if self._letters[letter]:
                self.kinds[name] += self._letters[letter]
                self._letters[letter] = 0
        return at

    def _count_run(self, at: int, count: int, apart: int) -> bool:
        """Counts messages of one length; False, and none, where one is no single reply."""
        received, first, beyond = self._received, at + FRAME_HEAD_BYTES, at + count * apart
        if apart <= FRAME_HEAD_BYTES + _FIFTH_LETTER_AT:
            return False
        for place, letter in enumerate(_TYPE_KEY, first + _TYPE_KEY_AT):
            if received[place:beyond:apart].count(letter) != count:
                return False
        letters = received[first + _FIFTH_LETTER_AT : beyond : apart]
        kinds = set(letters)
        if not kinds <= _FIFTH_LETTERS.keys():
            return False
        for letter in kinds:
            self._letters[letter] += letters.count(letter)
        if not kinds.isdisjoint(_REFUSALS):
            for number, letter in enumerate(letters):
                if letter in _REFUSALS:
                    start = first + number * apart
                    self._count_reason(start, start + apart - FRAME_HEAD_BYTES)
        self.messages += count
        return True

    def _count_body(self, start: int, end: int) -> None:
        received = self._received
        if start < end and received[start] in _ARRAY_HEADS:
            self._count_many(bytes(received[start:end]))
        else:
            # A map of more than fifteen keys has a head of three bytes.
            first = start + 2 if start < end and received[start] == _LONG_MAP else start
            is_whole = end - first > _FIFTH_LETTER_AT
            letter = received[first + _FIFTH_LETTER_AT] if is_whole else 0
            if letter not in _FIFTH_LETTERS or received[first + 1 : first + 6] != _TYPE_KEY:
                raise LinkError(f"no reply of a guard: {bytes(received[start:end])[:64]!r}")
            self._letters[letter] += 1
            if letter in _REFUSALS:
                self._count_reason(start, end)
        self.messages += 1

    def _count_reason(self, start: int, end: int) -> None:
        refusal = _refusal.decode(self._received[start:end])
        self.reasons[refusal.reason or refusal.code] += 1

    def _count_many(self, body: bytes) -> None:
        admits = body.count(_ADMIT)
        if body.startswith(array_head(admits)):
            self.kinds["admit"] += admits
            return
        for reply in _many.decode(body):
            self.kinds[reply.type] += 1
            if reply.type in ("reject", "error"):
                self.reasons[reply.reason or reply.code] += 1

    def _answer_command(self, body: bytes) -> None:
        self.outgoing += pong_to(body) or b""


class EchoReplies(_Counts):
    """Replies of a bare echo: counted, not looked at."""

    def take(self, received: bytearray) -> int:
        """Counts the whole replies in `received`; returns how many of its bytes they take."""
        before = self.messages
        taken = scan(received, self._count, lambda _body: None)
        self.kinds["echo"] += self.messages - before
        return taken

    def _count(self, _start: int, _end: int) -> None:
        self.messages += 1


class RedisReplies(_Counts):
    """Replies of Redis that are one line each: integers, states and errors."""

    def take(self, received: bytearray) -> int:
        """Counts the whole replies in `received`; returns how many of its bytes they take."""
        taken = received.rfind(b"\r\n") + 2
        if taken < 2:
            return 0
        whole = b"\n" + received[:taken]
        lines = whole.count(b"\n") - 1
        if whole.count(b"\n:") == lines:  # integers alone, as nearly always
            rejects = whole.count(b"\n:0\r")
            self.kinds.update({"admit": lines - rejects} if lines > rejects else {})
            self.kinds.update({"reject": rejects} if rejects else {})
            self.messages += lines
            return taken
        for line in bytes(received[: taken - 2]).split(b"\r\n"):
            self.messages += 1
            if line.startswith(b":") and line != b":0":
                self.kinds["admit"] += 1
            elif line == b":0":
                self.kinds["reject"] += 1
            else:
                self.kinds["error"] += 1
                self.reasons[line[:80].decode("ascii", "replace")] += 1
        return taken
