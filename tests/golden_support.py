"""A small log as the guard of today writes it, to be checked in as a golden directory.

`write_golden` made `tests/data/logs/v1/guard` and makes the directory of each later format version.
The parts are the daemon's own: wire, engine, records, writer, recovery with its repair,
checkpoints. Only the clock counts and the log id is given, so that the same code writes the same
bytes.
`outcome_of` is what is read back from such a directory, by the code of any later day.

Four sessions in segments: a clean stop with a checkpoint; one whose last write is torn; one that
repairs it, takes up a changed configuration and is killed behind another checkpoint; a clean stop.
"""

import dataclasses
import gzip
import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from daemon_support import config_text
from guard.audit.export import export_decisions
from guard.audit.notes import SigningKey
from guard.audit.prove import prove_head
from guard.audit.tlog import open_checkpoint
from guard.config.activation import find_differences, opening_events, resume_event
from guard.config.file import Config, parse_config
from guard.engine.actor import Actor
from guard.engine.engine import Engine
from guard.engine.events import (
    CheckpointTaken,
    CutNoted,
    EntriesHalted,
    EntriesResumed,
    SessionClosed,
    SessionStarted,
)
from guard.engine.events import Outcome as Event
from guard.protocol.messages import Reply
from guard.protocol.outcome import Outcome
from guard.protocol.request_reader import RequestReader
from guard.protocol.views import reply_of
from guard.record.writer import RecordWriter
from guard.recovery.checkpoint_payload import state_digest_hex
from guard.recovery.checkpoint_schedule import write_state
from guard.recovery.recover import Recovered, recover_log
from guard.replay.replay import replay_log
from guard.server.request_path import record_event
from protocol_client import cancel, fill, order, status
from reference.origin import Origin
from wal import ChainHasher, LogWriter, anchor_of, list_segments, read_checkpoints, write_anchor

KEY = bytes(range(64, 104))
LOG_ID = "0123456789abcdef0123456789abcdef"
NAME = "golden.example.com/v1"
SIGNING_KEY = SigningKey(NAME, bytes(range(32)))
T0 = 1_760_000_000_000_000_000
TICK_NS = 1_000_000
TORN_BYTES = 700  # of the last write: one whole record and the half of another

FIRST_CONFIG = config_text()
LAST_CONFIG = config_text(
    desks={
        "desk-alpha": ("2500000.00", "none"),
        "desk-beta": ("500000.00", "400000.00"),
        "desk-gamma": ("1000.00", "900.00"),
    },
    instruments={"AAPL": ("0.01", "1"), "BTC-USD": ("0.01", "0.00000001"), "ETH": ("0.5", "0.001")},
    settings="remembered_orders_max = 500_000",
    policy_epoch=8,
)

Request = dict[str, Any]


class Session:
    """A guard that has started on a directory, without its sockets."""

    def __init__(self, directory: Path, config: Config, ticks: Callable[[], int]) -> None:
        self.directory = directory
        self.hasher = ChainHasher(KEY)
        self._ticks = ticks
        is_new = not any(directory.glob("*.jsonl"))
        recovered = recover_log(directory, self.hasher, new_log=is_new)
        assert recovered.alarms == []
        self._lock = recovered.lock
        self.engine = recovered.engine
        self.writer = LogWriter.open(
            directory,
            self.hasher,
            recovered.head,
            monotonic_ns=ticks,
            lock=recovered.lock,
            fresh_segment=True,
        )
        if recovered.head.sequence == 0:
            actor = self.actor("a fresh log")
            self.log(*opening_events(config, actor, LOG_ID, self.hasher.key_id))
        else:
            self.log(self._started(recovered))
            # One event may stand for several differences.
            events: list[Event] = []
            for difference in find_differences(self.engine.state, config, self.actor("new terms")):
                assert difference.event is not None, difference.text
                if difference.event not in events:
                    events.append(difference.event)
            self.log(*events)
        self.writer.sync_now()

    def _started(self, recovered: Recovered) -> Event:
        state, head, checkpoint = self.engine.state, recovered.head, recovered.checkpoint
        return self.actor("start").event(
            SessionStarted,
            epoch=state.epoch + 1,
            software_version="0.1.0",
            recovered_sequence=head.sequence,
            recovered_hash=head.entry_hash,
            after_clean_stop=state.is_closed_cleanly,
            cuts=[CutNoted(**dataclasses.asdict(cut)) for cut in recovered.cuts],
            checkpoint_sequence=msgspec.UNSET if checkpoint is None else checkpoint.sequence,
        )

    def actor(self, why: str) -> Actor:
        first = self.engine.next_sequence - self.writer.staged_count
        return Actor(T0 + TICK_NS * self._ticks(), first, "golden", why)

    def log(self, *events: Event) -> None:
        for event in events:
            record_event(self.engine, self.writer, event)

    def batch(self, *requests: Request) -> None:
        """Decides and records these, one write."""
        received_at_ns = T0 + TICK_NS * self._ticks()
        first = self.engine.next_sequence
        for request in requests:
            decide(self.engine, request, Origin(received_at_ns, "local", first), self.writer)
        self.writer.sync_now()

    def checkpoint(self) -> None:
        """One of the durable state, and its record behind it, in a segment that begins with it."""
        self.writer.rotate()
        info = write_state(self.directory, self.hasher, self.engine.state, self.writer.durable_head)
        self.log(
            self.actor("asked for").event(
                CheckpointTaken,
                checkpoint_sequence=info.head.sequence,
                checkpoint_hash=info.head.entry_hash,
                state_digest_hex=info.head.state_digest_hex,
                file_name=info.path.name,
                payload_bytes=info.head.payload_bytes,
            )
        )
        self.writer.sync_now()

    def end(self, *, cleanly: bool) -> None:
        """A clean stop, or the end that a kill makes."""
        if cleanly:
            self.log(self.actor("clean stop").event(SessionClosed))
            self.writer.sync_now()
        self.writer.close()
        self._lock.release()


def decide(
    engine: Engine, request: Request, origin: Origin, writer: LogWriter | None = None
) -> Reply:
    """The answer to a request in its JSON form, recorded where it makes a record."""
    reader, outcome = RequestReader("local"), Outcome()
    reader.read(json.dumps(request).encode(), 1, "USD")
    (fields,) = reader.requests
    fields.received_at_ns = origin.received_at_ns
    fields.batch_first_sequence = origin.batch_first_sequence
    is_recorded = engine.decide(fields, outcome)
    reply = reply_of(fields, outcome)
    if is_recorded:
        assert writer is not None, f"{request} has not been answered before"
        data = RecordWriter().data(fields, outcome, engine.state.policy_digest_hex)
        writer.append(outcome.sequence, data)
        engine.apply(fields, outcome)
    return reply


def write_golden(root: Path) -> None:
    """The golden directory: `log`, `key`, `guard.toml`, `anchor.json`, `expected.json`.

    Checkpoints are packed: nearly all of one is the empty part of the table of remembered orders.
    """
    log, ticks = root / "log", itertools.count().__next__
    root.mkdir()
    (root / "key").write_bytes(KEY)
    (root / "guard.toml").write_text(LAST_CONFIG)
    _clean_session(Session(log, parse_config(FIRST_CONFIG), ticks))
    _torn_session(Session(log, parse_config(FIRST_CONFIG), ticks))
    _repairing_session(Session(log, parse_config(LAST_CONFIG), ticks))
    last = Session(log, parse_config(LAST_CONFIG), ticks)
    _last_session(last)
    write_anchor(root / "anchor.json", anchor_of(last.writer.durable_head, keyed=True))
    expected = outcome_of(root, root)
    expected["resent"] = _resent(last.engine)
    (root / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    (log / "lock").unlink()
    for path in log.glob("*.ckpt"):
        path.with_suffix(".ckpt.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
        path.unlink()


def unpack_golden(root: Path, copy: Path) -> Path:
    """A copy of a golden directory whose log is as its guard left it."""
    shutil.copytree(root, copy)
    (copy / "key").chmod(0o600)
    for path in (copy / "log").glob("*.ckpt.gz"):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    return copy


def _clean_session(guard: Session) -> None:
    guard.batch(order("A-1"))
    guard.batch(
        order("A-2", venue=20, time_in_force="ioc", side="sell", sent_at_ns=T0 - 1),
        order("A-3", risk_bps=9_600),
        order("A-4", order_type="market", price=19_100),
        order("A-5", desk="nobody"),
        order("A-1", side="sell"),
    )
    guard.batch(fill("A-1", "F-1"), fill("A-1", "F-2", quantity=7, fee_microcents=-3))
    guard.batch(cancel("A-1"), fill("A-2", "F-1", quantity=100), order("A-6", quantity=2**32))
    guard.batch(*(order(f"B-{n}", desk="desk-beta", quantity=n) for n in range(1, 13)))
    guard.checkpoint()
    guard.end(cleanly=True)


def _torn_session(guard: Session) -> None:
    guard.batch(order("C-1", symbol="BTC-USD", quantity=10**8, price=10**5, desk="desk-beta"))
    guard.batch(*(order(f"T-{number}") for number in range(1, 5)))
    guard.end(cleanly=False)
    segment = list_segments(guard.directory)[-1]
    written = segment.read_bytes()
    segment.write_bytes(written[:-TORN_BYTES])


def _repairing_session(guard: Session) -> None:
    guard.batch(*(order(f"T-{number}") for number in range(1, 5)))  # the unanswered, sent again
    guard.batch(order("G-1", desk="desk-gamma", symbol="ETH", quantity=3, price=7))
    guard.batch(
        fill("A-2", "F-2", quantity=1),
        fill("X-1", "F-1", quantity=1),
        fill("A-3", "F-1", quantity=1),
        fill("T-1", "F-1", quantity=100),
    )
    guard.writer.rotate()
    guard.log(
        guard.actor("disk space").event(
            EntriesHalted, reason="disk_low", free_bytes=7, reserve_bytes=8
        )
    )
    guard.batch(order("H-1"), cancel("T-2"))
    guard.log(guard.actor("disk space").event(EntriesResumed, free_bytes=10))
    # What gamma cannot pay halts its entries.
    guard.batch(fill("G-1", "F-1", desk="desk-gamma", quantity=1, fee_microcents=10**12))
    guard.batch(order("G-2", desk="desk-gamma", symbol="ETH", quantity=1, price=7))
    guard.checkpoint()
    guard.batch(*(order(f"K-{number}", quantity=number) for number in range(1, 6)))
    guard.end(cleanly=False)


def _last_session(guard: Session) -> None:
    guard.log(resume_event("desk-gamma", guard.actor("paid by hand")))
    guard.batch(fill("K-5", "F-1", quantity=2), cancel("K-4"), order("L-1"))
    guard.batch(order("G-3", desk="desk-gamma", symbol="ETH", quantity=1, price=7))
    guard.batch(cancel("B-1", "desk-beta"))
    guard.end(cleanly=True)


def _resent(engine: Engine) -> list[Request]:
    """Requests that have been answered, and what sending them again is answered with."""
    requests = [
        order("A-1"),
        order("A-3", risk_bps=9_600),
        order("A-5", desk="nobody"),
        order("B-12", desk="desk-beta", quantity=12),
        order("T-4"),
        order("H-1"),
        fill("A-1", "F-1"),
        fill("X-1", "F-1", quantity=1),
        cancel("A-1"),
        cancel("T-2"),
        *(status(name) for name in ("A-1", "A-2", "A-3", "T-1", "T-3", "K-5", "L-1", "none")),
        status("G-1", "desk-gamma"),
        status("C-1", "desk-beta"),
    ]
    return [{"request": each, "reply": resend(engine, each)} for each in requests]


def resend(engine: Engine, request: Request) -> Request:
    """The reply to a request that makes no record, in its JSON form."""
    origin = Origin(engine.state.last_received_at_ns, "local", engine.next_sequence)
    reply: Request = json.loads(msgspec.json.encode(decide(engine, request, origin)))
    return reply


def outcome_of(root: Path, work: Path) -> dict[str, Any]:
    """What the log in `root` says, by today's code; `work` takes the export and loses it again."""
    log, hasher = root / "log", ChainHasher((root / "key").read_bytes())
    report = replay_log(log, hasher)
    state = report.engine.state
    signed = prove_head(log, hasher, SIGNING_KEY, NAME)
    checkpoint, _ = open_checkpoint(signed, SIGNING_KEY.verifier_key, NAME)
    exported = export_decisions(log, hasher, work / "decisions.jsonl", ChainHasher(None))
    for part in exported:
        for path in (part.path, part.anchor_path, part.policy_path):
            assert path is not None
            path.unlink()
    ledger = state.ledger
    return {
        "head": {"sequence": report.head.sequence, "entry_hash": report.head.entry_hash},
        "segment_count": len(list_segments(log)),
        "record_count": report.record_count,
        "decision_count": report.decision_count,
        "events": dict(sorted(report.events.items())),
        "reasons": dict(sorted(report.reasons.items())),
        "epoch": state.epoch,
        "state_digest_hex": state_digest_hex(state),
        "ledger_digest_hex": ledger.snapshot().digest.hex(),
        "desks": {
            desk: {
                "initial_microcents": ledger.initial_microcents(desk),
                "remaining_microcents": ledger.remaining_microcents(desk),
                "reserved_microcents": ledger.reserved_microcents(desk),
                "committed_microcents": ledger.committed_microcents(desk),
            }
            for desk in ledger.tenant_ids()
        },
        "open_holds": ledger.active_reservations,
        "merkle_root_hex": checkpoint.root.hex(),
        "checkpoints": [
            {"sequence": info.head.sequence, "state_digest_hex": info.head.state_digest_hex}
            for info in read_checkpoints(log, hasher)
        ],
        "exported": [
            {"policy_epoch": part.policy_epoch, "entry_hash": part.head.entry_hash}
            for part in exported
        ],
    }
