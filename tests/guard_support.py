"""What the tests of `guard` share: the development configuration, builders, a logged engine.

Everything here is pure but `write_log` and the reading of `configs/dev.toml`. Times begin at `T0`.
AAPL's tick and lot are worth 1,000,000 microcents, so `order()` has a notional of 1.9e12.
"""

import dataclasses
import itertools
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from msgspec import UNSET, structs

from guard.config.activation import opening_events
from guard.config.file import Config, parse_config
from guard.engine.actor import Actor
from guard.engine.early import put_due
from guard.engine.engine import Engine
from guard.engine.events import (
    RULES_VERSION,
    Decided,
    KernelRows,
    LogOpened,
    Revalued,
    SessionClosed,
    SessionStarted,
)
from guard.engine.events import Outcome as Event
from guard.engine.loss_due import due_breach
from guard.engine.order_group import OrderGroup
from guard.engine.replacing import complete_ahead
from guard.engine.request_events import REQUEST_EVENTS, AllOrNoneRecorded
from guard.engine.state import GuardState
from guard.protocol.messages import (
    Admit,
    Cancel,
    Fill,
    Order,
    Reject,
    Replace,
    Reply,
    Request,
    Status,
)
from guard.protocol.outcome import Outcome, OutcomeKind
from guard.protocol.request import Request as RequestFields
from guard.protocol.request_reader import RequestReader
from guard.protocol.views import reply_of
from guard.record.codec import decode_data, decode_own_event, encode_event
from guard.record.order_groups import read_group
from guard.record.reader import RecordReader
from guard.record.unusual import read_event
from guard.record.writer import RecordWriter
from reference.origin import Origin
from wal import EMPTY_HEAD, GENESIS, ChainHasher, Head, LogWriter

CHECKOUT = Path(__file__).resolve().parent.parent
DEV_CONFIG_PATH = CHECKOUT / "configs" / "dev.toml"
DEV_CONFIG_TEXT = DEV_CONFIG_PATH.read_text()
DEV_POLICY_DIGEST_HEX = "6642a26075975840a5c8efe9bfd537dde440b290bea9c04d28cbc7dcd7158c59"

KEY = bytes(range(32))
_HASHER = ChainHasher(KEY)
LOG_ID = "0123456789abcdef0123456789abcdef"
T0 = 1_700_000_000_000_000_000
SECOND_NS = 1_000_000_000
WINDOW_NS = 86_400 * SECOND_NS
I64_MAX = 2**63 - 1
U32_MAX = 2**32 - 1
U64_MAX = 2**64 - 1

ALPHA_BUDGET = 200_000_000_000_000
ALPHA_CAP = 150_000_000_000_000
BETA_BUDGET = 50_000_000_000_000
ORDER_NOTIONAL = 1_900_000_000_000
ORDER_FEE = 14_001

NO_GATES = {
    "disabled": 0,
    "quality": 0,
    "risk_ceiling": 0,
    "latency": 0,
    "capability": 0,
    "provider": 0,
    "region": 0,
    "budget": 0,
    "utility": 0,
}


def dev_config(*replacements: tuple[str, str], **settings: Any) -> Config:
    """`configs/dev.toml`, its text with replacements made everywhere, its settings changed."""
    text = DEV_CONFIG_TEXT
    for old, new in replacements:
        assert old in text, old
        text = text.replace(old, new)
    config = parse_config(text)
    return dataclasses.replace(config, settings=structs.replace(config.settings, **settings))


def actor(at_ns: int = T0, batch: int = 1, by: str = "tester", why: str = "a test") -> Actor:
    """Who causes the administrative events of tests."""
    return Actor(at_ns, batch, by, why)


def order(client_order_id: str = "A-1", **changes: Any) -> Order:
    """The protocol page's order: 100 AAPL at 190.00 for desk-alpha, to venue 10."""
    fields: dict[str, Any] = {
        "client_order_id": client_order_id,
        "desk": "desk-alpha",
        "symbol": "AAPL",
        "side": "buy",
        "quantity": 100,
        "price": 19_000,
        "venue": 10,
        "risk_bps": 200,
        "confidence_bps": 9_000,
        "currency": "USD",
    }
    return Order(**fields | changes)


def fill(fill_id: str = "F-1", quantity: int = 40, fee: int = 5_000, **changes: Any) -> Fill:
    """A fill of the order `A-1`."""
    fields: dict[str, Any] = {
        "desk": "desk-alpha",
        "client_order_id": "A-1",
        "fill_id": fill_id,
        "quantity": quantity,
        "fee_microcents": fee,
    }
    return Fill(**fields | changes)


def cancel(client_order_id: str = "A-1", desk: str = "desk-alpha") -> Cancel:
    return Cancel(desk, client_order_id)


def status(client_order_id: str = "A-1", desk: str = "desk-alpha") -> Status:
    return Status(desk, client_order_id)


def balances(state: GuardState, desk: str = "desk-alpha") -> tuple[int, int, int]:
    """(remaining, reserved, committed) of a desk."""
    ledger = state.ledger
    return (
        ledger.remaining_microcents(desk) or 0,
        ledger.reserved_microcents(desk) or 0,
        ledger.committed_microcents(desk) or 0,
    )


def describe(state: GuardState) -> dict[str, Any]:
    """Every field of a state as plain values, detached from it: equal states, equal values."""
    ledger, orders = state.ledger, state.orders
    fields = {
        item.name: getattr(state, item.name)
        for item in dataclasses.fields(state)
        if item.name != "found"
    }
    fields["policy"] = None if state.policy is None else state.policy.as_dict()
    fields["instruments"] = dict(state.instruments)
    fields["desks"] = {name: dataclasses.astuple(desk) for name, desk in state.desks.items()}
    kept = state.positions
    fields["positions"] = (
        (
            kept.since_sequence,
            list(kept.symbols),
            kept.open_exits,
            b"".join(kept.dump()) + kept.dump_turned(),
        )
        if kept.is_kept
        else ()
    )
    fields["ledger"] = {
        "tenants": {
            name: (
                ledger.initial_microcents(name),
                *balances(state, name),
                ledger.max_reserved_microcents(name),
            )
            for name in ledger.tenant_ids()
        },
        "caps": dict(ledger._caps),
        "holds": {number: hold for number, *hold in ledger.export_state().holds},
        "next": ledger.next_reservation_id,
    }
    fields["orders"] = b"".join(orders.dump())
    waiting = state.executions
    fields["executions"] = (
        dict(waiting.unconfirmed),
        dict(waiting.unreported),
        list(waiting.unknown.entries()),
        kept.pending_entries(),
    )
    fields["latches"] = list(state.latches.entries())
    people = state.people
    waiting = (dict(people.pending), dict(people.loosened), dict(people.overrides))
    fields["people"] = (people.terms, *waiting)
    fields["facts"] = list(state.facts.dump())
    used = {name: bucket.dump() for name, bucket in state.limits.buckets.items()}
    fields["exposure"] = kept.exposure.dump() if kept.exposure.is_on else []
    fields["prices"] = (state.prices.is_kept, state.prices.dump())
    fields["limits"] = (state.limits.tree, used, state.limits.recent.dump())
    fields["repeated"] = list(state.limits.repeated.entries())
    fields["book"] = (state.book.is_kept, state.book.dump())
    fields["locates"] = state.locates.entries()
    fields["accounts"] = [dataclasses.astuple(account) for account in state.accounts.all()]
    return fields


def opened_under(rules_version: int, event: Event) -> Event:
    """One of a log's first events, as software wrote it whose rules had that version."""
    if isinstance(event, LogOpened):
        return structs.replace(event, rules_version=rules_version)
    return event


class LoggedEngine:
    """An engine whose every outcome goes through the bytes of its record before it is applied.

    After each step: deciding changed nothing, encoding what was decoded gives the same bytes, and
    every desk's ledger line adds up. `records` holds the data of all records, `answers` what was
    answered to a request.

    What is logged has the head that a guard would write (each record a batch of its own, or of
    that of the record before it; no time before the last one), and a session's first record says
    what stands before it: chained under
    `KEY` these are records that a start and a replay take. `as_given`: events are logged as they
    are. `rules_version`: what the log's first record names.
    """

    def __init__(
        self,
        config: Config | None = None,
        now_ns: int = T0,
        *,
        as_given: bool = False,
        rules_version: int = RULES_VERSION,
    ) -> None:
        self.engine = Engine()
        self.request, self.outcome = RequestFields(), Outcome()
        self._reader = RequestReader("local")
        self.request.set_text("client", b"local")
        self._writer, self._records = RecordWriter(), RecordReader()
        self.now_ns = now_ns
        self.clock_ns = 0  # where the system's clock says something else
        self.marks: dict[str, tuple[int, int]] = {}  # by symbol: price, age
        self.jumps: dict[str, int] = {}  # by symbol: where its mark has jumped to, and waits
        self.records: list[bytes] = []
        self.is_checked = True
        self.entry_hash = GENESIS
        self.batch_first_sequence = 1
        self._as_given = as_given
        key_id = "test-key-id" if as_given else _HASHER.key_id
        for event in opening_events(config or dev_config(), actor(now_ns), LOG_ID, key_id):
            self._log(opened_under(rules_version, event))

    @property
    def state(self) -> GuardState:
        return self.engine.state

    def _say_facts(self, request: Request) -> None:
        """What an order's record says beside it: its symbol's mark, the log's count of time."""
        taken = self.request
        taken.mark_price = taken.mark_age_ns = taken.mark_jump = taken.elapsed_ns = 0
        is_order, state = isinstance(request, Order | Replace), self.state
        if isinstance(request, Replace):
            complete_ahead(state, taken)
        if is_order:
            taken.mark_price, taken.mark_age_ns = self.marks.get(taken.symbol, (0, 0))
            taken.mark_jump = self.jumps.get(taken.symbol, 0)
        if state.has_limits if is_order else state.limits.counts_facts:
            taken.elapsed_ns = taken.received_at_ns - T0 + 1
            if is_order:
                self._revalue(taken.symbol)

    def _revalue(self, symbol: str) -> None:
        """Records the mark of an order's symbol before it, where that is due."""
        taken, state = self.request, self.state
        if not state.prices.is_kept or symbol not in state.instruments:
            return
        number = state.positions.number_of(symbol)
        if state.prices.is_due(number, taken.mark_price, taken.elapsed_ns):
            self._log(
                Revalued(
                    received_at_ns=taken.received_at_ns,
                    client="local",
                    batch_first_sequence=taken.batch_first_sequence,
                    symbol=symbol,
                    price=taken.mark_price,
                    age_ns=taken.mark_age_ns,
                    elapsed_ns=taken.elapsed_ns,
                )
            )

    def submit(self, request: Request, at_ns: int | None = None, batch: int | None = None) -> Any:
        """The reply to a request, which is logged and applied where it changes the state."""
        self.now_ns = self.now_ns if at_ns is None else at_ns
        self._reader.take(self.request, structs.replace(request, request_id=UNSET))
        self.request.received_at_ns = max(self.now_ns, self.state.last_received_at_ns)
        self.request.batch_first_sequence = batch or self.engine.next_sequence
        self.request.clock_ns = self.clock_ns
        self._say_facts(request)
        before = describe(self.state) if self.is_checked else None
        is_recorded = self.engine.decide(self.request, self.outcome)
        if before is not None:
            assert describe(self.state) == before, "deciding has changed the state"
        reply = reply_of(self.request, self.outcome)
        if is_recorded:
            self._record(self.request, self.outcome)
            self._record_due()
        return reply

    def log(self, event: Event) -> None:
        """Records an administrative event."""
        self._log(event if self._as_given else self._as_written(event))

    def _log(self, event: Event) -> None:
        data = encode_event(event)
        assert decode_data(data).outcome == event
        self.engine.apply_event(self.engine.next_sequence, event)
        self._keep(data, event.batch_first_sequence)
        self._say_losses()

    def _say_losses(self) -> None:
        """Records what has lost more than it may, directly behind what has caused it."""
        breach = due_breach(self.state, "local", self.batch_first_sequence)
        if breach is not None:
            self._log(breach)

    def _keep(self, data: bytes, batch_first_sequence: int) -> None:
        self.records.append(data)
        self.batch_first_sequence = batch_first_sequence
        self.entry_hash = _HASHER.entry_hash(self.entry_hash, data)
        check_conservation(self.state)

    def restart(self) -> None:
        """Records that the guard was stopped in good order, and started again."""
        self.log(actor().event(SessionClosed))
        self.log(
            actor().event(
                SessionStarted,
                epoch=1,
                software_version="9.9.9",
                recovered_sequence=1,
                recovered_hash="",
                after_clean_stop=True,
                cuts=[],
            )
        )

    def _as_written(self, event: Event) -> Event:
        state, sequence = self.state, self.engine.next_sequence
        is_continued = event.batch_first_sequence == self.batch_first_sequence
        changes: dict[str, Any] = {
            "received_at_ns": max(event.received_at_ns, state.last_received_at_ns),
            "batch_first_sequence": self.batch_first_sequence if is_continued else sequence,
        }
        if isinstance(event, SessionStarted):
            changes |= {
                "batch_first_sequence": sequence,
                "epoch": state.epoch + 1,
                "recovered_sequence": sequence - 1,
                "recovered_hash": self.entry_hash,
                "after_clean_stop": state.is_closed_cleanly,
                "cuts": [
                    structs.replace(
                        cut,
                        first_sequence_lost=sequence,
                        copy_name=f"{cut.segment}.cut-{sequence}-{cut.offset}",
                    )
                    for cut in event.cuts
                ],
            }
        return structs.replace(event, **changes)

    def admit(self, request: Order, at_ns: int | None = None) -> Admit:
        answer = self.submit(request, at_ns)
        assert isinstance(answer, Admit), answer
        return answer

    def reject(self, request: Order, at_ns: int | None = None) -> Reject:
        answer = self.submit(request, at_ns)
        assert isinstance(answer, Reject), answer
        return answer

    def _record_due(self) -> None:
        """Records the early fills of an order that was just admitted, in its record's batch."""
        fields, outcome = RequestFields(), Outcome()
        fields.set_text("client", b"local")
        while put_due(self.state, fields):
            fields.received_at_ns = self.request.received_at_ns
            fields.elapsed_ns = self.request.elapsed_ns * self.state.limits.counts_facts
            fields.batch_first_sequence = self.request.batch_first_sequence
            assert self.engine.decide(fields, outcome)
            self._record(fields, outcome)

    def _record(self, asked: RequestFields, answered: Outcome) -> None:
        digest_hex = self.state.policy_digest_hex
        data = self._writer.data(asked, answered, digest_hex)
        decode_data(data)
        request, outcome = RequestFields(), Outcome()
        assert self._records.read(data, request, outcome)
        assert self._writer.event(request, outcome) in data
        self.engine.apply(request, outcome)
        self._keep(data, request.batch_first_sequence)
        self._say_losses()


def decide(engine: Engine, request: Request, origin: Origin) -> Decided | Reply:
    """What the rules give for a request, as objects."""
    fields, outcome = RequestFields(), Outcome()
    RequestReader("local").take(fields, request)
    fields.set_text("client", origin.client.encode())
    fields.received_at_ns = origin.received_at_ns
    fields.batch_first_sequence = origin.batch_first_sequence
    if not engine.decide(fields, outcome):
        return reply_of(fields, outcome)
    kernel = None
    if outcome.kind <= OutcomeKind.REJECTED:
        kernel = KernelRows(*outcome.kernel_rows(), engine.state.policy_digest_hex)
    return Decided(decode_own_event(RecordWriter().event(fields, outcome)), kernel)


def apply(engine: Engine, sequence: int, event: Event) -> None:
    """Folds an event, as an object, into the engine."""
    if isinstance(event, AllOrNoneRecorded):
        group = OrderGroup()
        read_group(RecordReader(), event, group)
        engine.apply_group(group)
        return
    if not isinstance(event, REQUEST_EVENTS):
        engine.apply_event(sequence, event)
        return
    fields, outcome = RequestFields(), Outcome()
    read_event(RecordReader(), event, fields, outcome)
    assert sequence == engine.next_sequence
    engine.apply(fields, outcome)


def fields_of(request: Request, at_ns: int) -> RequestFields:
    """A request, given as an object, as the engine is asked."""
    fields = RequestFields()
    RequestReader("local").take(fields, request)
    fields.set_text("client", b"local")
    fields.received_at_ns = at_ns
    return fields


def check_conservation(state: GuardState) -> None:
    """Each desk's balances add up, and its open holds to what it has reserved."""
    ledger = state.ledger
    held = dict.fromkeys(state.desks, 0)
    for _, tenant_id, microcents in ledger.export_state().holds:
        held[tenant_id] += microcents
    for desk in state.desks:
        remaining, reserved, committed = balances(state, desk)
        assert min(remaining, committed) >= 0
        assert remaining + reserved + committed == ledger.initial_microcents(desk)
        assert reserved == held[desk]


def fold(records: Iterable[bytes]) -> Engine:
    """The engine that a log's records fold into: recovery's half, nothing decided."""
    engine, reader, fields, outcome = Engine(), RecordReader(), RequestFields(), Outcome()
    for sequence, data in enumerate(records, 1):
        if reader.read(data, fields, outcome):
            engine.apply(fields, outcome)
        else:
            apply(engine, sequence, decode_data(data).outcome)
    return engine


_RECOVERED = re.compile(rb'"recovered_hash":"[0-9a-f]{64}"')


def settled(records: Iterable[bytes], key: bytes = KEY) -> list[bytes]:
    """Records that were changed, with the hashes that its sessions then name of those before."""
    hasher, entry_hash, found = ChainHasher(key), GENESIS, []
    for data in records:
        if data.startswith(b'{"event":"session_started"'):
            data = _RECOVERED.sub(b'"recovered_hash":"%b"' % entry_hash.encode(), data)
        entry_hash = hasher.entry_hash(entry_hash, data)
        found.append(data)
    return found


def write_log(directory: Path, records: Iterable[bytes], key: bytes = KEY) -> Head:
    """A real log of these records, one synced batch, chained under `key`; its head."""
    directory.mkdir(parents=True, exist_ok=True)
    ticks = itertools.count()
    with LogWriter.open(
        directory, ChainHasher(key), EMPTY_HEAD, monotonic_ns=lambda: next(ticks)
    ) as writer:
        for sequence, data in enumerate(records, 1):
            writer.append(sequence, data)
        return writer.sync_now()
