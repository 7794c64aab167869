"""`pretrade-guard prove-desks`: proofs for who may see one desk, in pages, as the log grows.

A process of its own beside the daemon: it follows the log's files with the log's key, and nothing
of it stands on the way of an order. The daemon has no signing key.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Final

from guard import clock
from guard.cli.base import (
    EXIT_FAILED,
    EXIT_GOOD,
    Commands,
    UsageError,
    add_key_argument,
    complain,
    tool_hasher,
)
from guard.cli.prove import add_signer_arguments, signing_key_of

if TYPE_CHECKING:
    from guard.audit.desk_pages import PageMaker
    from wal import Follower

PAUSE_NS: Final = 200_000_000
_NS_PER_S: Final = 1_000_000_000
EVERY_S_MAX: Final = 86_400.0


def add(commands: Commands) -> None:
    """Adds the command."""
    text = "prove the records of single desks, for who sees no others"
    parser = commands.add_parser("prove-desks", help=text, description=text)
    parser.add_argument("log", metavar="LOG_DIR", type=Path, help="a log's directory")
    add_key_argument(parser)
    add_signer_arguments(parser)
    parser.add_argument(
        "--desk", metavar="DESK", action="append", required=True, help="may be given again"
    )
    parser.add_argument(
        "--out", metavar="DIR", type=Path, required=True, help="where pages are written"
    )
    parser.add_argument(
        "--every-s", metavar="S", type=float, default=5.0, help="a signed head so often (5)"
    )
    parser.add_argument(
        "--once", action="store_true", help="prove what there is, and end; else follow the log"
    )
    parser.set_defaults(command=_prove)


def _prove(options: argparse.Namespace) -> int:
    from guard.audit.desk_pages import PageError

    if not 0 < options.every_s <= EVERY_S_MAX:
        raise UsageError(
            f"--every-s: {options.every_s} is not allowed; allowed: more than 0, up to 86400"
        )
    try:
        return _follow(options)
    except PageError as error:
        return complain(EXIT_FAILED, str(error))


def _follow(options: argparse.Namespace) -> int:
    from guard.audit.desk_pages import PageMaker
    from guard.audit.page_files import last_page
    from guard.record.codec import DIALECT
    from guard.recovery.wrong_key import check_key
    from wal import EMPTY_HEAD, Follower, LogState, list_segments

    hasher = tool_hasher(options)
    key, origin = signing_key_of(options)
    if not options.log.is_dir():
        raise UsageError(f"{options.log}: is no directory of a log")
    check_key(list_segments(options.log, archived=True), hasher)
    follower = Follower(options.log, hasher, DIALECT.key_change)
    if follower.head != EMPTY_HEAD:
        raise UsageError(
            f"{options.log}: its oldest segments are archived, and a proof is about the whole log: "
            "bring them and the log's into one directory"
        )
    last = {desk: last_page(options.out, desk, key, origin) for desk in options.desk}
    signed = {page[0]: page[1] for page in last.values() if page is not None}
    after = {desk: 0 if page is None else page[0] for desk, page in last.items()}
    maker = PageMaker(after, key, origin)
    every_ns = round(options.every_s * _NS_PER_S)
    due_ns = clock.monotonic_ns() + every_ns
    while True:
        state = follower.state()
        _read(follower, maker, signed, options.out)
        is_last = state is LogState.ENDED or options.once
        if is_last or clock.monotonic_ns() >= due_ns:
            _write(maker, options.out)
            due_ns = clock.monotonic_ns() + every_ns
        if is_last:
            return _end(maker, signed)
        clock.sleep_until(clock.monotonic_ns() + PAUSE_NS)


def _read(follower: "Follower", maker: "PageMaker", signed: dict[int, bytes], pages: Path) -> None:
    """All that is durable; the heads that were signed before must be those of this log."""
    from guard.audit.prove import ForkedLogError

    for line in follower.poll():
        maker.add(line)
        if maker.size in signed and signed.pop(maker.size) != maker.root():
            raise ForkedLogError(
                f"the first {maker.size} records are not those that the log's key has signed"
            )
        if maker.is_full:
            _write(maker, pages)


def _write(maker: "PageMaker", pages: Path) -> None:
    from guard.audit.page_files import write_page

    for page in maker.take():
        path = write_page(pages, page)
        print(f"{path}: {len(page.records)} records", flush=True)


def _end(maker: "PageMaker", signed: dict[int, bytes]) -> int:
    from guard.audit.prove import ForkedLogError

    if signed:
        raise ForkedLogError(
            f"the log has {maker.size} records, and its key has signed {max(signed)}"
        )
    return EXIT_GOOD
