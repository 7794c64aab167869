"""The file of a day's certificate: `close --certificate FILE`.

Owns where it may be written, which is checked before a day is closed: a file that is there already
is never written over, and is taken for good where it is that very certificate. Writes nothing else.

How it fails: UsageError for a place that cannot be written, or that holds another file.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guard.cli.base import UsageError, write_output
from wal import ChainHasher

if TYPE_CHECKING:
    from guard.audit.notes import SigningKey


def check_place(
    path: Path, log: Path, hasher: ChainHasher, day: str, key: "SigningKey | None"
) -> None:
    """May that day's certificate be written there? Raises UsageError, WalKeyMismatch, WalError."""
    from guard.audit.day_certificate import CertificateError, certificate_of, encode_certificate
    from guard.recovery.wrong_key import check_key
    from wal import list_segments

    if log.is_dir():
        check_key(list_segments(log, archived=True), hasher)
    try:
        path.lstat()
        is_there = True
    except (FileNotFoundError, NotADirectoryError):
        is_there = False
    except OSError as error:
        raise _unwritable(path, error.strerror) from error
    is_device = path.exists() and not path.is_file() and not path.is_dir()
    if not is_there:
        if not path.parent.is_dir():
            raise _unwritable(path, f"there is no directory {path.parent}")
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise _unwritable(path, f"no file can be made in {path.parent}")
    elif is_device:  # or a pipe
        if not os.access(path, os.W_OK):
            raise _unwritable(path, "no permission")
    else:
        try:
            due = encode_certificate(certificate_of(log, hasher, day), key)
        except CertificateError:
            due = b""  # the day is still to be closed: its certificate is not there yet
        if not due or not _holds(path, due):
            raise UsageError(
                f"--certificate: {path} is there already, and is not the certificate of day {day}; "
                "allowed: a path where nothing is, or that very certificate"
            )


def write_certificate(path: Path, certificate: dict[str, Any], key: "SigningKey | None") -> None:
    """Writes it, unless it is there. Raises OSError; FileExistsError for whatever else is."""
    from guard.audit.day_certificate import encode_certificate

    data = encode_certificate(certificate, key)
    if not _holds(path, data):
        write_output(path, data, may_replace=False)


def _holds(path: Path, data: bytes) -> bool:
    """Is it a file with that content?"""
    try:
        return path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data
    except OSError:
        return False


def _unwritable(path: Path, why: str | None) -> UsageError:
    return UsageError(f"--certificate: {path} cannot be written: {why}")
