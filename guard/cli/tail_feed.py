"""`pretrade-guard tail --feed`: the same records, told by the daemon, not read from its files.

Owns the course of following a feed; what is shown of a record, `guard.cli.tail` says. A daemon that
is away is said and waited for: the feed goes on behind the last record that was shown.
"""

import argparse
import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from guard.cli.base import EXIT_FAILED, EXIT_GOOD, UsageError, complain
from guard.cli.operator import curve_of
from guard.config.keys import load_key, load_keys

if TYPE_CHECKING:
    from guard.audit.record_lines import Memory
    from guard.client.feed import FeedClient

# Heartbeats come every second: who hears none for so long is told.
SILENCE_S: Final = 3.0


def follow_feed(
    options: argparse.Namespace, show: Callable[[bytes], object], memory: "Memory | None"
) -> int:
    """Shows what comes; returns the exit code. `memory`: what is to know the instruments."""
    from guard.client.feed import FeedClient
    from guard.client.feed_session import FeedBrokenError, FeedRefusedError
    from wal import WalKeyError

    if options.root_key_file is not None:
        raise UsageError("--root-key-file: allowed only with the log's directory, not with --feed")
    if options.key_file is None and options.old_key_file:
        raise UsageError("--old-key-file needs --key-file, the key that came after it")
    keys = None
    if options.key_file is not None:
        keys = [load_key(options.key_file), *load_keys(options.old_key_file)]
    curve, after_sequence = curve_of(options), _first(options.first)
    # A client that was not given all desks has to name its own.
    desks = options.desk or None
    try:
        if memory is not None:
            with FeedClient(options.feed, after_sequence=0, curve=curve) as feed:
                _learn(feed, memory)
        with FeedClient(
            options.feed,
            after_sequence=after_sequence,
            desks=desks,
            key=keys,
            silence_s=SILENCE_S,
            curve=curve,
        ) as feed:
            _show(feed, options, show)
    except (WalKeyError, ValueError) as error:  # of an option; what the daemon refuses is no such
        raise UsageError(f"--feed: {error}") from error
    except FeedRefusedError as error:
        raise UsageError(f"{options.feed}: {error}") from error
    except FeedBrokenError as error:
        sys.stdout.buffer.flush()  # all that stands before it holds
        return complain(EXIT_FAILED, f"{options.feed}: {error}")
    return EXIT_GOOD


def _first(first: str) -> int | None:
    """The record behind which `--from` begins; None for now. Raises UsageError."""
    if first == "now":
        return None
    if first == "start":
        return 0
    if first.isascii() and first.isdigit() and int(first) > 0:
        return int(first) - 1
    raise UsageError(
        f"--from: {first!r} is not allowed with --feed; allowed: now, start, or a sequence"
    )


def _show(feed: "FeedClient", options: argparse.Namespace, show: Callable[[bytes], object]) -> None:
    from guard.client.feed_session import FeedTimeoutError

    until: int | None = None
    is_silent = False
    while True:
        try:
            batch = feed.next_batch(SILENCE_S)
        except FeedTimeoutError:
            if not is_silent:
                complain(EXIT_GOOD, f"{options.feed}: nothing comes; is a daemon there? waiting")
            is_silent = True
            continue
        is_silent = False
        until = batch.head.sequence if until is None else until
        for line in batch.lines.splitlines(keepends=True):
            if options.no_follow and json.loads(line)["sequence"] > until:
                break
            show(line)
        sys.stdout.buffer.flush()
        if options.no_follow and batch.through.sequence >= until:
            return


def _learn(feed: "FeedClient", memory: "Memory") -> None:
    """What the log began with: its instruments."""
    from guard.audit.record_lines import seen_of
    from guard.client.feed_session import FeedRefusedError, FeedTimeoutError

    try:
        while True:
            batch = feed.next_batch(SILENCE_S)
            for record in batch.records:
                data = json.loads(record.data)
                if "by" not in data:
                    return
                if data.get("event") == "instrument_defined":
                    memory.note(seen_of(record.sequence, data))
            if batch.through.sequence >= batch.head.sequence:
                return
    except (FeedTimeoutError, FeedRefusedError):
        return  # nobody is there, or the beginning is archived: sizes are shown as they are
