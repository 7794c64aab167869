"""The files of secret keys: the log's own, the HMAC key, raw bytes; CURVE's, as Z85 text.

Owns their checks and their making (`guard.audit.keyfiles` has the signing keys). A key that others
may read protects nothing, and a short one little: both are refused. The one exception is systemd's
credentials directory, which is mounted for the service alone, whatever the file's mode says.

How it fails: `KeyFileError`, a `ConfigError`, naming the file and what is allowed.
"""

import importlib
import os
import secrets
from collections.abc import Iterable
from io import FileIO
from pathlib import Path
from typing import Final, cast

from guard.config.errors import ConfigError
from guard.config.z85 import KEY_CHARACTERS, key_from, text_of
from wal import PRIVATE_DIRECTORY_MODE, PRIVATE_FILE_MODE, open_to_read, publish_file

KEY_BYTES_MIN: Final = 32
KEY_BYTES_MAX: Final = 4096
EPHEMERAL_KEY_NAME: Final = "ephemeral.key"


class KeyFileError(ConfigError):
    """The key file cannot be used."""


def load_key(path: Path) -> bytes:
    """The key: all bytes of the file. Raises KeyFileError."""
    key = read_secret(path)
    if not KEY_BYTES_MIN <= len(key) <= KEY_BYTES_MAX:
        shown = f"{len(key)}" if len(key) <= KEY_BYTES_MAX else f"more than {KEY_BYTES_MAX}"
        raise KeyFileError(
            f"key file {path}: {shown} bytes; allowed: {KEY_BYTES_MIN} to {KEY_BYTES_MAX}"
        )
    return key


def load_keys(paths: Iterable[Path]) -> list[bytes]:
    """The keys of files, and of all files of directories, in that order. Raises KeyFileError."""
    keys = []
    for path in paths:
        try:
            files = sorted(path.iterdir()) if path.is_dir() else [path]
        except OSError as error:
            raise KeyFileError(f"{path}: cannot be listed: {error.strerror}") from error
        keys += [load_key(file) for file in files]
    return keys


def load_curve_key(path: Path) -> bytes:
    """A CURVE secret key: 40 characters of Z85, and perhaps a line's end. Raises KeyFileError."""
    text = read_secret(path)
    try:
        return key_from(text.decode("ascii").removesuffix("\n"))
    except ValueError:  # which is not shown
        raise KeyFileError(
            f"key file {path}: {len(text)} bytes that are no CURVE key; allowed: a secret key as "
            f"Z85 text of {KEY_CHARACTERS} characters (pretrade-guard keygen --curve FILE)"
        ) from None


def create_curve_key(path: Path) -> str:
    """Writes a fresh CURVE secret key, never over another; its public key as text.

    Raises KeyFileError.
    """
    try:
        boxes = importlib.import_module("nacl.bindings")
    except ImportError as error:
        raise KeyFileError(
            f"key file {path}: CURVE keys need PyNaCl: pip install 'pretrade-guard[curve]'"
        ) from error
    public_key, secret_key = boxes.crypto_box_keypair()
    create_secret(path, text_of(secret_key).encode() + b"\n")
    return text_of(public_key)


def create_key(path: Path) -> None:
    """Writes a fresh random key, readable by its owner alone. Never overwrites."""
    create_secret(path, secrets.token_bytes(KEY_BYTES_MIN))


def read_secret(path: Path) -> bytes:
    """The bytes of a file that nobody else may read, up to one more than a key may have.

    Raises KeyFileError.
    """
    with open_secret(path) as file:
        return file.read(KEY_BYTES_MAX + 1)


def open_secret(path: Path) -> FileIO:
    """A file that nobody else may read, open and unbuffered. Raises KeyFileError."""
    try:
        file = cast(FileIO, open_to_read(path, 0, follows_links=True))
    except OSError as error:
        raise KeyFileError(f"key file {path}: cannot be read: {error.strerror}") from error
    status = os.fstat(file.fileno())
    if status.st_mode & 0o077 and not _is_credential(path):
        file.close()
        raise KeyFileError(
            f"key file {path}: mode {status.st_mode & 0o777:04o} lets others in; "
            "allowed: no permission for group or others (chmod 600)"
        )
    return file


def create_secret(path: Path, data: bytes) -> None:
    """Writes a secret, readable by its owner alone. Never overwrites. Raises KeyFileError."""
    try:
        publish_file(path, data, mode=PRIVATE_FILE_MODE, may_replace=False)
    except OSError as error:
        raise KeyFileError(f"key file {path}: cannot be created: {error.strerror}") from error


def ephemeral_key(log_directory: Path, *, may_create: bool = True) -> bytes:
    """The throw-away key of a log for trying out, kept beside it so that a restart finds it.

    A key that lies beside the log proves nothing to anyone: it is for trying out. `may_create`: a
    log is being begun, directory and all; else the key must be there. Raises KeyFileError.
    """
    path = log_directory / EPHEMERAL_KEY_NAME
    if may_create:
        log_directory.mkdir(PRIVATE_DIRECTORY_MODE, parents=True, exist_ok=True)
        if not os.path.lexists(path):
            create_key(path)
    return load_key(path)


def _is_credential(path: Path) -> bool:
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    return directory is not None and path.resolve().parent == Path(directory).resolve()
