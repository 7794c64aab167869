"""The files of a log's evolving keys: the root's, which is never on the host, and the host's.

Owns their form, their making, and the replacement of the host's by the next: whole and in one step,
and the old one's bytes overwritten with zeros behind it. That reaches as far as the file system
does: one that writes elsewhere (btrfs, ZFS, an SSD's own mapping), a snapshot or a backup of the
directory may still hold the old key. A file is one line of text with what it is, one with the key's
number, and 32 bytes.

How it fails: `KeyFileError`, naming the file and what is wrong; never with what stands in it.
"""

import os
import secrets
from pathlib import Path
from typing import Final

from guard.config.keys import KeyFileError, create_secret, load_key, open_secret
from wal import (
    KEY_NUMBER_MAX,
    PRIVATE_FILE_MODE,
    SECRET_BYTES,
    EvolvingKey,
    open_regular,
    publish_file,
)

ROOT_NUMBER: Final = 0
_HEADER: Final = b"pretrade-guard.evolving-key.v1\n"
_NUMBER_LENGTH_MAX: Final = len(str(KEY_NUMBER_MAX))
_FILE_BYTES_MAX: Final = len(_HEADER) + _NUMBER_LENGTH_MAX + 1 + SECRET_BYTES


def load_host_key(path: Path) -> EvolvingKey:
    """The evolving key of a log's host. Raises KeyFileError."""
    key = load_evolving(path)
    if key.number == ROOT_NUMBER:
        key.wipe()
        raise KeyFileError(
            f"key file {path}: is the root key, which belongs on no host that writes a log; "
            "allowed: the host's key (pretrade-guard keygen --evolving FILE --root FILE)"
        )
    return key


def load_plain_key(path: Path) -> bytes:
    """The key of a log whose key does not evolve. Raises KeyFileError."""
    key = load_key(path)
    if key.startswith(_HEADER):
        raise KeyFileError(
            f"key file {path}: is an evolving key; allowed as log.key_file: with "
            "log.forward_secure = true; else a plain key (pretrade-guard keygen FILE)"
        )
    return key


def load_evolving(path: Path) -> EvolvingKey:
    """The key in the file, which is not left in another buffer. Raises KeyFileError."""
    buffer = bytearray(_FILE_BYTES_MAX + 1)
    with open_secret(path) as file:
        size = file.readinto(buffer) or 0
    try:
        end = buffer.find(b"\n", len(_HEADER), size) + 1
        number = buffer[len(_HEADER) : max(end - 1, 0)]
        is_number = number.isdigit() and len(number) <= _NUMBER_LENGTH_MAX
        if (
            not buffer.startswith(_HEADER)
            or not is_number
            or (number.startswith(b"0") and number != b"0")
            or int(number) > KEY_NUMBER_MAX
            or size - end != SECRET_BYTES
        ):
            raise KeyFileError(
                f"key file {path}: is no evolving key of a log; allowed: a file that "
                "pretrade-guard keygen --evolving FILE --root FILE has written"
            )
        with memoryview(buffer)[end:size] as secret:
            return EvolvingKey(int(number), bytearray(secret))
    finally:
        buffer[:] = bytes(len(buffer))


def create_evolving(root_path: Path, host_path: Path) -> None:
    """A fresh root key, and the first of the keys that come of it; never over other files.

    Raises KeyFileError.
    """
    root = EvolvingKey(ROOT_NUMBER, secrets.token_bytes(SECRET_BYTES))
    first = root.next()
    create_secret(root_path, _text_of(root))
    create_secret(host_path, _text_of(first))
    root.wipe()
    first.wipe()


def replace_evolving(path: Path, key: EvolvingKey) -> None:
    """Makes `key` what the file holds, durably, and wipes what it held. Raises OSError.

    Does nothing where the file holds it.
    """
    try:
        held = load_evolving(path)
        is_there = (held.number, held.secret) == (key.number, key.secret)
        held.wipe()
    except KeyFileError:
        is_there = False
    if is_there:
        return
    try:
        old = open_regular(path, os.O_RDWR, follows_links=True)
    except FileNotFoundError:
        old = None
    try:
        publish_file(Path(os.path.realpath(path)), _text_of(key), mode=PRIVATE_FILE_MODE)
        if old is not None:
            os.pwrite(old, bytes(os.fstat(old).st_size), 0)
            os.fsync(old)
    finally:
        if old is not None:
            os.close(old)


def check_replaceable(path: Path) -> None:
    """Can the file be replaced beside itself, as each new key has to? Raises KeyFileError."""
    real = Path(os.path.realpath(path))
    if not os.access(real.parent, os.W_OK | os.X_OK) or not os.access(real, os.W_OK):
        raise KeyFileError(
            f"key file {path}: cannot be replaced where it lies, and an evolving key has to be; "
            "allowed: a file and a directory that the daemon may write (no LoadCredential)"
        )


def _text_of(key: EvolvingKey) -> bytes:
    return b"%b%d\n%b" % (_HEADER, key.number, bytes(key.secret))
