"""Days of real flow played live under some rules, and a what-if of each held against the others.

A day is played through the engine itself, in process, by the very reader, decide, writer and apply
that the daemon runs, and what it logs is replayed. Nothing else of the daemon has a say in what is
decided: batches, sockets and syncs set the times at which requests are received, and here these
are the recording's own, so that two days differ by their rules alone.

What a trader does in it is what happened: an order that is admitted is filled and canceled as the
recording has it, whether another day admitted it or not. A refused order never reached the market:
nothing is said of it; or, with `tells_refused`, all that the recording has is sent all the same.
"""

import re
import tempfile
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from audit_support import HASHER
from guard.audit.audit import Audit
from guard.audit.overrides import Overrides
from guard.config.activation import opening_events
from guard.config.file import Config, parse_config
from guard.demo.flow import Step
from guard.engine.engine import Engine
from guard.engine.latch_lifting import why_it_stays
from guard.engine.people_events import LatchLifted
from guard.protocol.messages import Cancel, Fill, Order
from guard.protocol.outcome import Outcome, OutcomeKind
from guard.protocol.request import Request as RequestFields
from guard.protocol.request_reader import RequestReader
from guard.record.codec import encode_event
from guard.record.writer import RecordWriter
from guard.replay.replay import replay_log
from guard_support import LOG_ID, actor, write_log

# Without its limits: the days that are lived here have no marks, and no count of time.
DEMO_TEXT = re.sub(
    r"(?ms)^\[+limits.*?(?=^\[(?!\[?limits))",
    "",
    (resources.files("guard") / "data" / "demo.toml").read_text(),
)
# The error that is allowed: a part of what the other rules move, or of the admits.
MOVED_PART, ADMITS_PART = 4, 500


def demo_config(*replacements: tuple[str, str]) -> Config:
    """The demo's configuration, its text with replacements made."""
    text = DEMO_TEXT
    for old, new in replacements:
        assert old in text, old
        text = text.replace(old, new)
    return parse_config(text)


def limits_config(caps: dict[str, str], budgets: dict[str, str] | None = None) -> Config:
    """The demo's configuration with other caps ("none" or an amount) and budgets of its desks."""
    text, at = DEMO_TEXT, 0
    for desk in ("desk-alpha", "desk-beta", "desk-gamma", "desk-delta"):
        at = text.index(f'desk = "{desk}"', at)
        for key, values in (("budget", budgets or {}), ("exposure_cap", caps)):
            begin = text.index(f'{key} = "', at) + len(key) + 4
            if desk in values:
                text = text[:begin] + values[desk] + text[text.index('"', begin) :]
    return parse_config(text)


def overrides_of(config: Config) -> Overrides:
    """All rules of a configuration, as a what-if takes them."""
    return Overrides(
        policy=config.policy,
        policy_digest_hex=config.policy_digest_hex,
        desks=dict(config.desks),
    )


@dataclass(frozen=True)
class PlayedDay:
    """A day that was played: its records, and how many orders it admitted."""

    records: list[bytes]
    admitted: int


class _Guard:
    """Reads, decides, records and applies as the daemon does, at the times that it is given."""

    def __init__(self, config: Config, now_ns: int) -> None:
        self._engine, self._writer = Engine(), RecordWriter()
        self._reader = RequestReader("local")
        self._request, self._outcome = RequestFields(), Outcome()
        self._request.set_text("client", b"local")
        self.records: list[bytes] = []
        for event in opening_events(config, actor(now_ns), LOG_ID, HASHER.key_id):
            self.records.append(encode_event(event))
            self._engine.apply_event(self._engine.next_sequence, event)

    def submit(self, request: Order | Fill | Cancel, at_ns: int) -> bool:
        """Whether it was answered with an admit."""
        engine, fields, outcome = self._engine, self._request, self._outcome
        self._reader.take(fields, request)
        fields.received_at_ns = max(at_ns, engine.state.last_received_at_ns)
        fields.batch_first_sequence = engine.next_sequence
        if engine.decide(fields, outcome):
            digest_hex = engine.state.policy_digest_hex
            self.records.append(self._writer.data(fields, outcome, digest_hex))
            engine.apply(fields, outcome)
            self._lift_surplus(fields.received_at_ns)
        return outcome.kind == OutcomeKind.ADMITTED

    def _lift_surplus(self, at_ns: int) -> None:
        """As soon as a surplus of reducing orders is over, a person lifts its latch."""
        state = self._engine.state
        for desk, symbol, kind, _ in list(state.latches.entries()) if state.has_latches else ():
            if not why_it_stays(state, desk, symbol, kind):
                who = actor(at_ns, state.next_sequence)
                event = who.event(LatchLifted, desk=desk, symbol=symbol, latch=kind)
                self.records.append(encode_event(event))
                self._engine.apply_event(state.next_sequence, event)


def play(steps: list[Step], config: Config, *, tells_refused: bool = False) -> PlayedDay:
    """Plays the flow live under a configuration, at the recorded times."""
    guard = _Guard(config, steps[0].at_ns)
    is_admitted: dict[int, bool] = {}
    for step in steps:
        if isinstance(step.request, Order):
            is_admitted[step.order_id] = guard.submit(step.request, step.at_ns)
        elif tells_refused or is_admitted.get(step.order_id, True):
            guard.submit(step.request, step.at_ns)
    return PlayedDay(guard.records, sum(is_admitted.values()))


def what_if(day: PlayedDay, config: Config) -> dict[str, Any]:
    """The day's log lived again under another configuration, as `replay` reports it."""
    audit = Audit(overrides=overrides_of(config))
    with tempfile.TemporaryDirectory() as directory:
        log = Path(directory) / "log"
        write_log(log, day.records)
        report = replay_log(log, HASHER, observe=audit.observe_asked)
        audit.live_again(lambda observe: replay_log(log, HASHER, observe=observe))
        document: dict[str, Any] = audit.document(report)["what_if"]
    return document


@dataclass(frozen=True)
class Compared:
    """Admits: as recorded, played live under other rules, and what the what-if says."""

    recorded: int
    live: int
    estimate: int
    low: int
    high: int
    assumed: dict[str, Any]

    @property
    def error(self) -> int:
        return self.estimate - self.live

    @property
    def error_max(self) -> float:
        return max(abs(self.live - self.recorded) / MOVED_PART, self.live / ADMITS_PART)

    @property
    def is_close(self) -> bool:
        return abs(self.error) <= self.error_max

    @property
    def is_bounded(self) -> bool:
        return self.low <= self.live <= self.high


def compare(
    steps: list[Step], before: Config, after: Config, *, tells_refused: bool = False
) -> Compared:
    """A day played under the one configuration asked of the other, and played live under it."""
    recorded = play(steps, before, tells_refused=tells_refused)
    live = play(steps, after, tells_refused=tells_refused)
    said = what_if(recorded, after)
    assert said["before"]["admitted"] == recorded.admitted
    return Compared(
        recorded.admitted,
        live.admitted,
        said["after"]["admitted"],
        said["low"]["admitted"],
        said["high"]["admitted"],
        said["assumed"],
    )
