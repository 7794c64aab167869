"""What the commands share: exit codes, the error of wrong use, arguments and answers of the tools.

Owns no command. The tools are those that read a log: `verify`, `replay` and their kin.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final, TypeAlias

from guard.config.evolving_keys import load_evolving
from guard.config.keys import load_keys
from guard.process.operator_lines import complaint
from wal import (
    JOBS_MAX,
    PRIVATE_FILE_MODE,
    SEGMENT_NAME,
    Anchor,
    ChainHasher,
    KeyRing,
    WalAnchorError,
    WalError,
    current_key,
    first_head,
    open_to_read,
    publish_file,
    read_anchor,
    segment_name,
    usable_cores,
)

EXIT_GOOD: Final = 0
EXIT_FAILED: Final = 1
EXIT_WRONG_USE: Final = 2
EXIT_UNFINISHED: Final = 3  # a log's end that the next start mends
EXIT_SIGNAL: Final = 128  # and the signal's number: what a shell says of a tool that it ended
EXIT_BROKEN_PIPE: Final = EXIT_SIGNAL + 13  # SIGPIPE

# A record damaged anywhere still shows what it was, or the next one does.
_BEGINNING_BYTES: Final = 65_536

# argparse's own type for this is private.
Commands: TypeAlias = Any


class UsageError(ValueError):
    """The command line asks for something that cannot be."""


def complain(code: int, error: BaseException | str) -> int:
    """Says what went wrong to stderr; returns `code`."""
    sys.stderr.write(complaint(error))
    return code


def add_log_arguments(parser: argparse.ArgumentParser) -> None:
    """The log that a tool reads, its key, and the form of the answer."""
    parser.add_argument("log", metavar="LOG_DIR", type=Path, help="a log's directory, or a file")
    add_key_argument(parser)
    parser.add_argument("--json", action="store_true", help="answer in JSON")


def add_key_argument(parser: argparse.ArgumentParser) -> None:
    """The key of the log that a tool reads; none for an unkeyed log."""
    parser.add_argument(
        "--key-file",
        metavar="FILE",
        type=Path,
        help="the key that the log was written with, the newest where it had several",
    )
    parser.add_argument(
        "--old-key-file",
        metavar="FILE",
        type=Path,
        action="append",
        default=[],
        help="a key that the log was under before, or a directory of such; may be given again",
    )
    parser.add_argument(
        "--root-key-file",
        metavar="FILE",
        type=Path,
        help="the root of the log's evolving keys, or one of them (log.forward_secure)",
    )


def add_anchor_argument(parser: argparse.ArgumentParser) -> None:
    """The anchor that the log must agree with, if any."""
    parser.add_argument(
        "--anchor", metavar="FILE", type=Path, help="a head kept elsewhere, which it must hold"
    )


def add_jobs_argument(parser: argparse.ArgumentParser) -> None:
    """How many processes share the work."""
    parser.add_argument(
        "--jobs",
        type=_jobs,
        default=min(usable_cores(), JOBS_MAX),
        metavar="N",
        help="how many processes share the work (default: one for each core)",
    )


def _jobs(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= JOBS_MAX):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {JOBS_MAX}")
    return int(text)


def tool_hasher(options: argparse.Namespace) -> ChainHasher:
    """The hasher for `options.log` with `options.key_file`. Raises UsageError, ConfigError."""
    if not options.log.exists():
        raise UsageError(f"{options.log}: no such file or directory")
    if options.log.is_file():
        _check_file(options.log)
    elif not options.log.is_dir():
        raise UsageError(f"{options.log}: is neither a directory nor a regular file")
    return log_hasher(options)


def log_hasher(options: argparse.Namespace) -> ChainHasher:
    """The hasher of the keys that were given: the log's current key, which knows the others.

    Raises UsageError, ConfigError, WalError.
    """
    root = None
    if options.root_key_file is not None:
        if options.key_file is not None:
            raise UsageError(
                "--root-key-file: allowed only without --key-file; a key that the log was under "
                "before is an --old-key-file"
            )
        root = load_evolving(options.root_key_file)
    elif options.key_file is None:
        if options.old_key_file:
            raise UsageError("--old-key-file needs the key that came after it, as --key-file")
        return ChainHasher(None)
    plain = [] if options.key_file is None else [options.key_file]
    keys = load_keys([*plain, *options.old_key_file])
    if root is None and len(keys) == 1:
        return ChainHasher(keys[0])
    from guard.record.codec import DIALECT

    ring = KeyRing(keys, root)
    try:
        found = current_key(options.log, ring.newest, DIALECT.key_change)
    except OSError as error:
        raise UsageError(f"{options.log}: cannot be read: {error.strerror}") from error
    if root is not None and not found.number:
        raise UsageError(
            f"{options.log}: ends under a plain key: it has never been under keys of that root, "
            "or was written anew by somebody who has no such key"
        )
    return found


def has_key(options: argparse.Namespace) -> bool:
    """Was any key of the log given?"""
    return options.key_file is not None or options.root_key_file is not None


def _check_file(log: Path) -> None:
    """Is one file a log by itself, whole or damaged? Raises UsageError, WalError."""
    if SEGMENT_NAME.fullmatch(log.name):
        head = first_head(log)
        if log.name != segment_name(1) and head is not None and head.sequence:
            raise UsageError(
                f"{log}: is a later segment, which begins with record {head.sequence + 1}; give "
                "the log's directory"
            )
        return
    try:
        with open_to_read(log, follows_links=True) as file:
            beginning = file.read(_BEGINNING_BYTES)
    except OSError as error:
        raise UsageError(f"{log}: cannot be read: {error.strerror}") from error
    if beginning.strip(b"\0\r\n ") and b"entry_hash" not in beginning:
        raise UsageError(f"{log}: is no log: nothing at its beginning is a record")


def tool_anchor(options: argparse.Namespace) -> Anchor | None:
    """The anchor that was given. Raises UsageError for what is no anchor."""
    try:
        return None if options.anchor is None else read_anchor(options.anchor)
    except WalAnchorError as error:
        raise UsageError(f"{options.anchor}: {error}") from error
    except WalError as error:  # which names the file
        raise UsageError(str(error)) from error


def write_output(path: Path, data: bytes, *, may_replace: bool = True) -> None:
    """Writes what a tool found where the user wants it: a file is whole or not there.

    It holds orders and balances: its owner alone may read it, until they say otherwise. A device,
    or a pipe, gets it as it comes. Raises OSError; without `may_replace`, for a file that is there.
    """
    if path.exists() and not path.is_file():
        path.write_bytes(data)
    else:
        publish_file(path, data, mode=PRIVATE_FILE_MODE, may_replace=may_replace)


def report_good(
    options: argparse.Namespace, what: str, fields: dict[str, Any], begins_after: int = 0
) -> int:
    """Prints what a tool found, for people or in JSON; returns the exit code.

    `begins_after`: the last of the archived records, which stand before the log.
    """
    if options.json:
        print(json.dumps(fields))
        return EXIT_GOOD
    if begins_after:
        what += f" from record {begins_after + 1} on, since what stands before it is archived;"
    else:
        what += ","
    print(f"{options.log}: {what} every record is as it was written")
    for name, value in fields.items():
        if name != "ok":
            shown = value if not isinstance(value, dict) else _listed(value)
            print(f"  {name.replace('_', ' ')}: {shown}")
    return EXIT_GOOD


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"
