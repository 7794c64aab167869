"""libsodium's boxes over a shared key that was made once: the two calls of every message.

Owns nothing but these; the library is PyNaCl's, which carries it. As they stand here they are
cffi's calls. Compiled, `guard.server.sealing` takes the same from `sodium.pxd` beside this file,
which calls the very functions by their address: no object is made for a call.

How it fails: False for what is not authentic; ImportError where PyNaCl is missing.
"""

import functools
import importlib
from typing import Any, Final, TypeAlias

SEAL: Final = "crypto_box_easy_afternm"
OPEN: Final = "crypto_box_open_easy_afternm"
MAC_BYTES: Final = 16
NAME: Final = b"\x07MESSAGE"
COUNTER_BYTES: Final = 8
SHORT_BYTES_MAX: Final = 255

Function: TypeAlias = Any


@functools.cache
def _library() -> Any:
    return importlib.import_module("nacl._sodium")


def function(name: str) -> Function:
    """What the calls below take: one of the library's functions, by its name."""
    return getattr(_library().lib, name)


def address_of(name: str) -> int:
    """The same as an address, for the compiled form."""
    library = _library()
    pointer = library.ffi.addressof(library.lib, name)
    return int(library.ffi.cast("uintptr_t", pointer))


def unbox(
    opening: Function, place: bytearray, at: int, count: int, nonce: bytearray, key: bytes
) -> bool:
    """Opens the box of `count` bytes at `at`, in place: its content then stands behind its MAC."""
    box = bytes(place[at : at + count])
    content = bytearray(count - MAC_BYTES)
    foreign = _library().ffi.from_buffer(content)
    if opening(foreign, box, count, bytes(nonce), key) != 0:
        return False
    place[at + MAC_BYTES : at + count] = content
    return True


def box(sealing: Function, flags: int, payload: bytes, nonce: bytearray, key: bytes) -> bytes:
    """A sealed frame as it stands on the wire (`guard.server.sealing`): head, name, the last eight
    bytes of the nonce, and the box of a byte of flags and the payload."""
    content = bytes((flags,)) + payload
    sealed = bytearray(len(content) + MAC_BYTES)
    foreign = _library().ffi.from_buffer(sealed)
    sealing(foreign, content, len(content), bytes(nonce), key)
    size = len(NAME) + COUNTER_BYTES + len(sealed)
    head = bytes((0, size)) if size <= SHORT_BYTES_MAX else b"\x02" + size.to_bytes(8, "big")
    return head + NAME + nonce[-COUNTER_BYTES:] + sealed
