"""From where `pretrade-guard replay` reads, and what it holds that against.

Owns `--anchor`, `--checkpoint`, `--from`, `--to` and `--jobs`, the bar of progress, and the replay
of logs of decision records alone, which have no policy in them: `--policy` is theirs.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guard.cli.base import (
    UsageError,
    add_anchor_argument,
    add_jobs_argument,
    report_good,
    tool_anchor,
)
from wal import (
    Anchor,
    ChainHasher,
    Run,
    WalError,
    list_segments,
    paths_of,
    read_checkpoints,
    read_regular,
    read_runs,
    segment_name,
)

# The largest policy has 65,535 models; indented, each takes some 600 bytes of the reference's JSON.
POLICY_BYTES_MAX = 64 * 1024 * 1024

if TYPE_CHECKING:
    from guard.audit.bounds import Bounds, Reconciliation
    from guard.replay.replay import ReplayReport
    from kernel import PolicySnapshot
    from wal import CheckpointInfo, Head


def add_source_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    add_anchor_argument(parser)
    parser.add_argument(
        "--checkpoint",
        type=Path,
        metavar="FILE",
        help="a checkpoint, in its directory: the replay must come to the same state",
    )
    parser.add_argument(
        "--from",
        dest="first",
        metavar="WHEN",
        help="report from this sequence, date or time (of UTC) on, such as 1200, 2026-11-23 or "
        "2026-11-23T09:30; everything before is replayed, too",
    )
    parser.add_argument(
        "--to",
        dest="last",
        metavar="WHEN",
        help="report up to this sequence, date (its whole day) or time, itself included",
    )
    add_jobs_argument(parser)


@dataclass(frozen=True, slots=True)
class Source:
    """What the arguments ask for. `beginning`: where a log that lacks segments is read from."""

    anchor: Anchor | None
    bounds: "Bounds"
    reconciliation: "Reconciliation | None"
    beginning: "CheckpointInfo | None"


def open_source(options: argparse.Namespace, hasher: ChainHasher) -> Source:
    """Reads the anchor and the checkpoint. Raises UsageError, WalError."""
    from guard.audit.bounds import BoundsError, Reconciliation, bounds_of
    from guard.recovery.archived_start import find_beginning

    try:
        bounds = bounds_of(options.first, options.last)
    except BoundsError as error:
        raise UsageError(str(error)) from error
    anchor = tool_anchor(options)
    beginning = find_beginning(options.log, hasher)
    if options.checkpoint is None:
        return Source(anchor, bounds, None, beginning)
    head, digest_hex = _checkpoint(options.checkpoint, hasher)
    if beginning is not None and beginning.head.sequence >= head.sequence:
        raise UsageError(
            f"--checkpoint is of record {head.sequence}, but the replay begins behind record "
            f"{beginning.head.sequence}: give a later one"
        )
    return Source(anchor, bounds, Reconciliation(head, digest_hex), beginning)


def _checkpoint(path: Path, hasher: ChainHasher) -> "tuple[Head, str]":
    """The head that a checkpoint was taken after, and the digest of the state in it."""
    from guard.recovery.checkpoint_payload import state_digest_hex
    from guard.recovery.recover import load_checkpoint
    from guard.recovery.state_head import StateError

    infos = read_checkpoints(path.parent, hasher) if path.is_file() else []
    for info in infos:
        if info.path.name == path.name:
            break
    else:
        raise UsageError(f"{path}: no such checkpoint")
    try:
        state = load_checkpoint(info, hasher.sole_key_id).state
    except StateError as error:
        raise WalError(f"{path}: {error}") from error
    digest_hex = state_digest_hex(state)
    if digest_hex != info.head.state_digest_hex:
        raise WalError(f"{path}: its state is not the one that the manifest names")
    return info.head.head, digest_hex


def holds_decisions_alone(path: Path, hasher: ChainHasher) -> bool:
    """Whether the log is none of the guard's. Raises the `WalError` family."""
    from guard.record.codec import DIALECT

    if path.is_dir() and list_segments(path, archived=True)[:1] != [path / segment_name(1)]:
        return False
    first: Run | None = next(read_runs(paths_of(path), hasher, DIALECT), None)
    return first is not None and not DIALECT.is_native_head(first.data_of(1))


@contextmanager
def progress_of(path: Path) -> Iterator[Callable[[int], None] | None]:
    """Takes bytes done, and shows them on a terminal; None where there is none."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

    files = list_segments(path, archived=True) if path.is_dir() else [path]
    total = sum(each.stat().st_size for each in files)
    columns = (BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=total)

        def advance(byte_count: int) -> None:
            progress.advance(task, byte_count)

        yield advance


def check_source(source: Source, report: "ReplayReport") -> dict[str, Any]:
    """What the report says of the source, once all was replayed. Raises UsageError, WalDamage."""
    if report.record_count and source.bounds.record_count == 0 and not source.bounds.is_whole:
        raise UsageError("no record stands between --from and --to")
    found = source.reconciliation
    if found is not None and not found.is_done:
        from guard.replay.replay import ReplayMismatch

        reason = f"the log ends before record {found.head.sequence}, the checkpoint's"
        raise ReplayMismatch("the end", 0, report.head.sequence + 1, reason)
    fields: dict[str, Any] = {}
    if source.anchor is not None:
        anchor = source.anchor
        fields["anchor"] = {"sequence": anchor.sequence, "last_hash": anchor.last_hash}
    if found is not None:
        fields["checkpoint_reconciled"] = {
            "sequence": found.head.sequence,
            "state_digest_hex": found.state_digest_hex,
        }
    return fields


def replay_decisions(options: argparse.Namespace, hasher: ChainHasher) -> int:
    """Replays a log of decision records alone. Raises UsageError, ConfigError, WalDamage."""
    from guard.audit.decision_log import replay_decision_log

    if options.policy is None:
        raise UsageError(
            f"{options.log} does not begin with log_opened: it holds no policy to replay; "
            "give it with --policy FILE"
        )
    for name in ("explain", "desk", "limits", "html", "checkpoint", "first", "last"):
        if getattr(options, name) is not None:
            flag = {"first": "from", "last": "to"}.get(name, name)
            raise UsageError(f"--{flag} needs a log of the guard; this one has decisions alone")
    policy = _policy_of(options.policy)
    anchor = tool_anchor(options)
    with progress_of(options.log) as advance:
        report = replay_decision_log(
            options.log, hasher, policy, anchor=anchor, jobs=options.jobs, on_bytes=advance
        )
    fields = {
        "ok": True,
        "records": report.record_count,
        "decisions": report.record_count,
        "head_sequence": report.head.sequence,
        "head_hash": report.head.entry_hash,
        "policy_digest_hex": policy.digest.hex(),
        "reasons": dict(sorted(report.reasons.items())),
    }
    return report_good(options, "replayed", fields)


def _policy_of(path: Path) -> "PolicySnapshot":
    """The policy of a TOML file with `[policy]`, or of the reference's JSON."""
    from guard.audit.overrides import load_overrides
    from guard.engine.apply_event import build_policy
    from kernel import KernelInputError

    if path.suffix == ".json":
        try:
            text = read_regular(path, POLICY_BYTES_MAX, follows_links=True, takes_streams=True)
            if len(text) > POLICY_BYTES_MAX:
                raise ValueError(f"is longer than {POLICY_BYTES_MAX} bytes, which are allowed")
            return _policy_of_json(json.loads(text))
        except (OSError, ValueError, RecursionError, KernelInputError) as error:
            raise UsageError(f"{path}: {error}") from error
    content = load_overrides(path, None).policy
    assert content is not None  # as `load_overrides` refuses a file without it
    return build_policy(content)


def _policy_of_json(fields: Any) -> "PolicySnapshot":
    """The policy of an export's file (`policy`, `policy_digest_hex`), or of the reference.

    Their `as_dict()`, with the models beside it, says `fingerprint` and `model_count`, too. What is
    said of the policy must be true of it. Raises KernelInputError, ValueError.
    """
    from kernel import PolicySnapshot

    if not isinstance(fields, dict):
        return PolicySnapshot.from_dict(fields)
    inner = fields.get("policy", fields)
    said: dict[str, Any] = {}
    if isinstance(inner, dict):
        inner = dict(inner)
        said = {name: inner.pop(name) for name in ("fingerprint", "model_count") if name in inner}
    if "policy" in fields and "policy_digest_hex" in fields:
        said["policy_digest_hex"] = fields["policy_digest_hex"]
    policy = PolicySnapshot.from_dict(inner)
    digest_hex = policy.digest.hex()
    of_it: dict[str, Any] = {"fingerprint": digest_hex, "policy_digest_hex": digest_hex}
    of_it["model_count"] = len(policy.models)
    for name, value in said.items():
        if value != of_it[name]:
            raise ValueError(f"{name}: {value!r} is not allowed; this policy's is {of_it[name]!r}")
    return policy
