"""One line of the log and one entry, each made from the other. Pure.

Owns: the line's exact bytes, what a data value may be, and the bound of a line. Must not: check
hashes or sequence (the reader does), or look into `data`.

How it works: our own lines have one exact form, which is cut by position. Any other line goes
through a JSON walk over its four members, which keeps the bytes of `data` as they stand (they
are what was hashed) and so also reads logs whose envelope was reformatted.

How it fails: `WalEntryError` with one clause; never with the contents of the line.
"""

from __future__ import annotations

import re
from json import JSONDecodeError, JSONDecoder
from typing import Final, NoReturn

import msgspec

from wal.chain import Head
from wal.errors import WalEntryError
from wal.jsonprefix import is_whole_nested

# The longest record is a policy: 65,535 models of up to 300 bytes, about 20 MB. Bounding a line
# bounds what a reader holds when a file has no newline.
LINE_BYTES_MAX: Final = 32 * 1024 * 1024
# The chain's counters are u64 in the reference.
SEQUENCE_MAX: Final = 2**64 - 1
ENVELOPE_BYTES_MAX: Final = 12 + 20 + 18 + 64 + 16 + 64 + 9 + 2  # as in FORMAT.md's table

_OPENING: Final = b'{"sequence":%d,"previous_hash":"%b","entry_hash":"'
_BEFORE_DATA_LENGTH: Final = len(b'","data":')
_BEFORE_OBJECT: Final = b'","data":{'
_BEHIND_OBJECT: Final = b"}}\n"
LINE_END: Final = b"}\n"
_HASH_LENGTH: Final = 64
_ENVELOPE: Final = re.compile(
    rb'\{"sequence":([1-9][0-9]{0,19}),"previous_hash":"(genesis|[0-9a-f]{64})",'
    rb'"entry_hash":"([0-9a-f]{64})","data":'
)
_KEYS: Final = frozenset(("sequence", "previous_hash", "entry_hash", "data"))
_SPACE: Final = re.compile(r"[ \t\r\n]*")
_COUNT: Final = re.compile(r"[1-9][0-9]{0,19}")
_SPACE_BYTE: Final = 0x20
_RAW: Final = msgspec.json.Decoder(msgspec.Raw)


def _refuse_constant(name: str) -> NoReturn:
    raise WalEntryError(f"{name} is not JSON")


# Numbers stay text: they are not ours to interpret, and Python bounds the digits of an integer.
_JSON: Final = JSONDecoder(parse_int=str, parse_float=str, parse_constant=_refuse_constant)


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One record: its place in the chain and the exact bytes of its data."""

    sequence: int
    previous_hash: str
    entry_hash: str
    data: bytes

    @property
    def head(self) -> Head:
        """The chain's head once this entry is its last."""
        return Head(self.sequence, self.entry_hash)


def encode_line(sequence: int, previous_hash: str, entry_hash: str, data: bytes) -> bytes:
    """The line of an entry, with its newline. `data` must have passed `check_data`."""
    return b'{"sequence":%d,"previous_hash":"%b","entry_hash":"%b","data":%b}\n' % (
        sequence,
        previous_hash.encode(),
        entry_hash.encode(),
        data,
    )


def encode_envelope(sequence: int, previous_hash: bytes, entry_hash: bytes) -> bytes:
    """What stands before the data in an entry's line. Behind it stands `LINE_END`."""
    return b'{"sequence":%d,"previous_hash":"%b","entry_hash":"%b","data":' % (
        sequence,
        previous_hash,
        entry_hash,
    )


def line_opening(sequence: int, previous_hash: str) -> bytes:
    """The bytes with which the line of record `sequence` begins, up to its own hash."""
    return _OPENING % (sequence, previous_hash.encode())


def check_data(data: bytes) -> None:
    """Refuse data that a reader, ours or the reference's, would not take back.

    One JSON value in UTF-8 on one line, without space around it, short enough for a line. Raises
    `WalEntryError`.
    """
    if len(data) > LINE_BYTES_MAX - ENVELOPE_BYTES_MAX:
        raise WalEntryError(f"data of {len(data)} bytes is too long for a line")
    if b"\n" in data:
        raise WalEntryError("data contains a newline")
    if not is_plain_json(data):
        raise WalEntryError("data is not one JSON value in UTF-8")


def is_plain_json(data: bytes) -> bool:
    """Whether `data` is one JSON value in UTF-8 with no space around it, by a quick check.

    A false answer may be wrong (a lone surrogate escape is JSON to the reference); a true one
    is not.
    """
    # Every JSON value begins and ends above the space, and all of JSON's space is at or below.
    if not data or data[0] <= _SPACE_BYTE or data[-1] <= _SPACE_BYTE:
        return False
    try:
        _RAW.decode(data)
        if not data.isascii():
            data.decode()
    except RecursionError:
        return is_whole_nested(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True


def split_line(line: bytes, opening: bytes) -> tuple[bytes, bytes] | None:
    """`(entry_hash, data)` of a line in our exact form that begins with `opening`, else None.

    Only of a line whose data is an object. What is returned as the hash may still be any 64
    bytes: comparing it with the right hash decides.
    """
    hash_start = len(opening)
    hash_end = hash_start + _HASH_LENGTH
    if not (
        line.startswith(opening)
        and line.startswith(_BEFORE_OBJECT, hash_end)
        and line.endswith(_BEHIND_OBJECT)
    ):
        return None
    data = line[hash_end + _BEFORE_DATA_LENGTH : -2]
    # From brace to brace, and one value: so no second member of the line is swallowed with it.
    return (line[hash_start:hash_end], data) if is_plain_json(data) else None


def parse_opening(beginning: bytes) -> Head | None:
    """The head that a line in our exact form says it follows, by its first bytes; else None.

    Nothing is verified by it.
    """
    match = _ENVELOPE.match(beginning)
    return None if match is None else Head(int(match[1]) - 1, match[2].decode())


def parse_heads(beginning: bytes) -> tuple[Head, Head] | None:
    """As `parse_opening`, and the head that the line itself is; None for another form of line."""
    match = _ENVELOPE.match(beginning)
    if match is None:
        return None
    sequence = int(match[1])
    return Head(sequence - 1, match[2].decode()), Head(sequence, match[3].decode())


def parse_line(line: bytes) -> Entry:
    """The entry of one line, its newline included. Raises `WalEntryError`.

    Exactly the four members, each once; `data` keeps its bytes. The hashes are text as found:
    whether they are right is for the chain check to say.
    """
    if len(line) > LINE_BYTES_MAX:
        raise WalEntryError(f"a line has at most {LINE_BYTES_MAX} bytes")
    if not line.endswith(b"\n"):
        raise WalEntryError("the line has no newline")
    match = _ENVELOPE.match(line)
    if match and int(match[1]) <= SEQUENCE_MAX and line.endswith(LINE_END):
        data = line[match.end() : -2]
        if is_plain_json(data):
            return Entry(int(match[1]), match[2].decode(), match[3].decode(), data)
    return _walk(line)


def _walk(line: bytes) -> Entry:
    """The entry of a line in any JSON form. Raises `WalEntryError`."""
    try:
        members = _members(line.decode())
    except UnicodeDecodeError:
        raise WalEntryError("the line is not UTF-8") from None
    except JSONDecodeError as error:
        raise WalEntryError(f"the line is not JSON: {error.msg} at column {error.colno}") from None
    except RecursionError:
        raise WalEntryError("the line is nested too deeply") from None
    missing = _KEYS - members.keys()
    if missing:
        raise WalEntryError(f"the line has no {sorted(missing)[0]}")
    count = members["sequence"][1]
    if not _COUNT.fullmatch(count) or int(count) > SEQUENCE_MAX:
        raise WalEntryError("sequence is not an integer from 1 to 2^64 - 1")
    hashes = (members["previous_hash"][0], members["entry_hash"][0])
    previous_hash, entry_hash = hashes
    # A number reads as text here, so the raw form decides what was a string.
    for name, text in zip(("previous_hash", "entry_hash"), hashes, strict=True):
        if not members[name][1].startswith('"') or not isinstance(text, str):
            raise WalEntryError(f"{name} is not a string")
    assert isinstance(previous_hash, str)
    assert isinstance(entry_hash, str)
    return Entry(int(count), previous_hash, entry_hash, members["data"][1].encode())


def _members(text: str) -> dict[str, tuple[object, str]]:
    """Each member of the one object in `text`: its value and the text of it."""
    members: dict[str, tuple[object, str]] = {}
    at = _expect(text, _space(text, 0), "{")
    while True:
        if text[at : at + 1] != '"':
            raise JSONDecodeError("Expecting a member", text, at)
        name, at = _JSON.raw_decode(text, at)
        if name in members:
            raise WalEntryError(f"{name} stands twice in the line")
        if name not in _KEYS:
            raise WalEntryError("the line has a member that is no part of an entry")
        start = _expect(text, _space(text, at), ":")
        value, at = _JSON.raw_decode(text, start)
        members[name] = (value, text[start:at])
        at = _space(text, at)
        if text[at : at + 1] != ",":
            break
        at = _space(text, at + 1)
    at = _expect(text, at, "}")
    if at != len(text):
        raise JSONDecodeError("Extra data", text, at)
    return members


def _space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    assert match is not None
    return match.end()


def _expect(text: str, at: int, character: str) -> int:
    """The position of the next token after `character`, which must stand at `at`."""
    if text[at : at + 1] != character:
        raise JSONDecodeError(f"Expecting {character!r}", text, at)
    return _space(text, at + 1)
