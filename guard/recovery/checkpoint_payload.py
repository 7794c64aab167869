"""The engine's whole state ↔ the bytes of a checkpoint, and its digest. Pure.

Owns the payload (`wal/FORMAT.md`, "The payload of a checkpoint") and the state digest. The files,
and whether one counts, are `wal.checkpoint`'s.

How it works: the payload is a tag, the ledger's snapshot counters, and the body: a head in
canonical JSON (all but holds and orders), the open holds in rows, the remembered orders and fills
as `RememberedOrders.dump` gives them. The state digest is SHA-256 over another tag and the body.
What the log gives no order stands sorted; the packed rows depend on the log alone. So the digest is
the same whether the state came from the log, or from a checkpoint and the rest of the log. Both are
streamed: nothing is gathered but one piece.

How it fails: `StateError` for bytes that are no state; nothing of them counts then. A payload of
another version of the guard has another tag and is refused as such.
"""

import hashlib
import struct
from collections.abc import Callable, Iterator
from dataclasses import astuple
from itertools import chain
from typing import Final, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from guard.engine.events import RULES_VERSIONS
from guard.engine.found import NO_FEE_BOUND, Desk
from guard.engine.positions import POSITIONS_SINCE_RULES
from guard.engine.remembered_rows import find_fill
from guard.engine.row_map import NO_ROW
from guard.engine.shares import SHARES_SINCE_RULES
from guard.engine.state import ACTIONS_REMEMBERED_MAX, ActionDone, GuardState
from guard.protocol.all_or_none_messages import ORDERS_MAX
from guard.protocol.instruments import define_instrument
from guard.protocol.limits import digest_hex as limits_digest_hex
from guard.protocol.limits import normalized
from guard.record.words import explain, refusal
from guard.recovery.account_state import stopped_of, take_accounts
from guard.recovery.people_state import people_of, take_people
from guard.recovery.state_head import RateUsed, StateError, StateHead
from kernel import (
    BudgetEngine,
    InvariantError,
    LedgerState,
    PolicySnapshot,
    TenantLedger,
)

PAYLOAD_TAG: Final = b"pretrade-guard.state.v1\0"
STATE_DIGEST_TAG: Final = b"guardst1\0"
HEAD_BYTES_MAX: Final = 64 * 1024 * 1024  # the largest policy takes about 20 MB
HOLDS_PER_PIECE: Final = 16_384
FACT_BYTES_MAX: Final = 1_024  # of a key of three names, and a few integers

_NO_RULES: Final = 0  # of a state before any record
_U32: Final = struct.Struct("<I")
_HOLD: Final = struct.Struct("<QIq")  # as `BudgetEngine.hold_rows` gives it
_COUNTERS: Final = struct.Struct("<QQ")  # ledger snapshots taken, microcents certified

# `read(n)` gives from 1 to n bytes, none at the end.
Reader: TypeAlias = Callable[[int], bytes]


# The fields of a head that are a state's own, under the same name.
PLAIN_FIELDS: Final = (
    "log_id",
    "key_id",
    "epoch",
    "rules_version",
    "next_sequence",
    "last_received_at_ns",
    "is_closed_cleanly",
    "entries_halt",
    "currency",
    "remembered_orders_max",
    "remembered_order_window_ns",
    "policy_digest_hex",
)

_encode_head = msgspec.json.Encoder().encode
_decode_head = msgspec.json.Decoder(StateHead).decode


def encode_state(state: GuardState) -> Iterator[bytes]:
    """The payload of a checkpoint of `state`, in pieces; the state must not change meanwhile."""
    ledger = state.ledger.export_state()
    yield PAYLOAD_TAG
    yield _COUNTERS.pack(ledger.snapshot_version, ledger.certified_microcents)
    yield from _body(state, ledger)


def state_digest_hex(state: GuardState) -> str:
    """The digest of the whole state, 64 lower-case hexadecimal characters."""
    digest = hashlib.sha256(STATE_DIGEST_TAG)
    for piece in _body(state, state.ledger.export_state()):
        digest.update(piece)
    return digest.hexdigest()


def decode_state(read: Reader) -> GuardState:
    """The state whose payload `read` gives, to its last byte. Raises StateError."""
    source = _ExactReader(read)
    try:
        (snapshot_version, certified_microcents), head = _read_beginning(source)
        state = _state_of(head)
        state.ledger = BudgetEngine.restore(
            LedgerState(
                tuple(TenantLedger(*tenant) for tenant in head.tenants),
                tuple(head.caps),
                head.next_reservation_id,
                head.hold_count,
                _read_holds(source, head),
                snapshot_version,
                certified_microcents,
            )
        )
        is_split = state.rules_version >= SHARES_SINCE_RULES
        is_wide, has_chains = head.has_wide_orders is True, head.has_chains is True
        state.orders.load(source.read, is_split, is_wide, has_chains)
        _take_shares(state, head)
        _load_positions(state, source, head)
        _load_facts(state, source, 0 if head.fact_count is UNSET else head.fact_count)
        _load_executions(state, source, head.execution_count or 0)
        state.list_working()
    # ValueError: bad UTF-8, a policy or an instrument that cannot be.
    except (msgspec.MsgspecError, ValueError, InvariantError, RecursionError) as error:
        raise error if isinstance(error, StateError) else StateError(str(error)) from error
    if read(1):
        raise StateError("something follows its end")
    return state


def decode_policy(read: Reader) -> PolicySnapshot | None:
    """The policy in force in the state whose payload `read` begins to give. Raises StateError.

    No more than the head is read.
    """
    try:
        _, head = _read_beginning(_ExactReader(read))
        return _state_of(head).policy
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise error if isinstance(error, StateError) else StateError(str(error)) from error


def _body(state: GuardState, ledger: LedgerState) -> Iterator[bytes]:
    """What the digest covers."""
    head = _encode_head(_head_of(state, ledger))
    yield _U32.pack(len(head))
    yield head
    places = {tenant.tenant_id: place for place, tenant in enumerate(ledger.tenants)}
    yield from state.ledger.hold_rows(places, HOLDS_PER_PIECE)
    yield from state.orders.dump()
    if state.positions.is_kept:
        yield from state.positions.dump()
        yield state.positions.dump_turned()
    for entry in chain(state.facts.dump(), state.executions.dump()):
        yield _U32.pack(len(entry))
        yield entry


def _head_of(state: GuardState, ledger: LedgerState) -> StateHead:
    return StateHead(
        **{name: getattr(state, name) for name in PLAIN_FIELDS},
        policy=None if state.policy is None else state.policy.as_dict(),
        instruments=[
            (instrument.symbol, instrument.tick_size, instrument.lot_size, instrument.multiplier)
            for _, instrument in sorted(state.instruments.items())
        ],
        desks=[
            (name, desk.is_halted, str(desk.unpaid_fees_microcents))
            for name, desk in sorted(state.desks.items())
        ],
        tenants=[astuple(tenant) for tenant in ledger.tenants],
        caps=list(ledger.caps),
        next_reservation_id=ledger.next_reservation_id,
        hold_count=ledger.hold_count,
        is_firm_stopped=state.is_firm_stopped or UNSET,
        stopped_desks=sorted(name for name, desk in state.desks.items() if desk.is_stopped)
        or UNSET,
        stopped_symbols=sorted(state.stopped_symbols) or UNSET,
        actions=[(name, *done) for name, done in state.actions.items()] or UNSET,
        refuses_unknown_venues=state.refuses_unknown_venues or UNSET,
        order_ages_ms=[
            (name, desk.max_order_age_ms)
            for name, desk in sorted(state.desks.items())
            if desk.max_order_age_ms
        ]
        or UNSET,
        shares=[name for _, name in sorted((desk.share, desk.name) for desk in _sharing(state))]
        or UNSET,
        fee_bounds=[
            (name, desk.fee_bound_bps, desk.fee_minimum_microcents)
            for name, desk in sorted(state.desks.items())
            if desk.fee_bound_bps != NO_FEE_BOUND
        ]
        or UNSET,
        returned=[
            (name, desk.returned_microcents)
            for name, desk in sorted(state.desks.items())
            if desk.returned_microcents
        ]
        or UNSET,
        fact_count=sum(1 for _ in state.facts.dump()) or UNSET,
        limits=state.limits.tree or UNSET,
        rates=_rates(state) or UNSET,
        recent=state.limits.recent.dump() or UNSET,
        elapsed_ns=state.elapsed_ns or UNSET,
        positions=_positions_of(state),
        is_firm_reducing=state.is_firm_reducing or UNSET,
        reducing_desks=sorted(name for name, desk in state.desks.items() if desk.is_reducing)
        or UNSET,
        reducing_symbols=sorted(state.reducing_symbols) or UNSET,
        latches=list(state.latches.entries()) or UNSET,
        prices=state.prices.dump() or UNSET,
        repeated=list(state.limits.repeated.entries()) or UNSET,
        has_wide_orders=state.orders.is_wide or UNSET,
        has_chains=state.orders.has_chains or UNSET,
        people=people_of(state),
        pending=state.positions.pending_entries() or UNSET,
        execution_count=sum(1 for _ in state.executions.dump()) or UNSET,
        turned_count=state.positions.turned_count or UNSET,
        uncounted=state.positions.uncounted_rows() or UNSET,
        locates=state.locates.entries() or UNSET,
        accounts=state.accounts.entries() or UNSET,
        **stopped_of(state),
    )


def _positions_of(state: GuardState) -> tuple[int, int, list[str], int] | UnsetType:
    positions = state.positions
    if not positions.is_kept:
        return UNSET
    symbols = list(positions.symbols)
    return positions.since_sequence, positions.count, symbols, positions.open_exits


def _rates(state: GuardState) -> list[RateUsed]:
    return [
        (desk, symbol, kind, window_ms, numbers)
        for (desk, symbol, kind, window_ms), bucket in sorted(state.limits.buckets.items())
        if (numbers := bucket.dump())
    ]


def _take_limits(state: GuardState, head: StateHead) -> None:
    """The limits in force, and what of their rates is used."""
    state.elapsed_ns = head.elapsed_ns or 0
    tree = [] if head.limits is UNSET else head.limits
    if normalized(tree) != tree:
        raise StateError("its limits are not in the order in which a guard writes them")
    if tree:
        state.set_limits(tree, limits_digest_hex(tree))
    for desk, symbol, kind, window_ms, numbers in head.rates or ():
        bucket = state.limits.buckets.get((desk, symbol, kind, window_ms))
        if bucket is None:
            raise StateError(f"rates: {(desk, symbol, kind, window_ms)} is no rate of its limits")
        bucket.load(numbers)
    state.limits.recent.load(head.recent or [])
    state.limits.repeated.load(head.repeated or (), state.elapsed_ns)
    state.locates.load(head.locates or (), state.desks, state.instruments, head.next_sequence)
    state.has_locates = len(state.locates) > 0


def _sharing(state: GuardState) -> list[Desk]:
    return [desk for desk in state.desks.values() if desk.share]


def _read_beginning(source: "_ExactReader") -> tuple[tuple[int, int], StateHead]:
    """The ledger's two counters, and the head."""
    if source.read(len(PAYLOAD_TAG)) != PAYLOAD_TAG:
        raise StateError("it does not begin as a state of this version of the guard does")
    snapshot_version, certified_microcents = _COUNTERS.unpack(source.read(_COUNTERS.size))
    return (snapshot_version, certified_microcents), _read_head(source)


def _read_head(source: "_ExactReader") -> StateHead:
    (head_bytes,) = _U32.unpack(source.read(_U32.size))
    if head_bytes > HEAD_BYTES_MAX:
        raise StateError(f"its head has {head_bytes} bytes; allowed: at most {HEAD_BYTES_MAX}")
    data = source.read(head_bytes)
    try:
        head = _decode_head(data)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise StateError(explain(data, error)) from error
    if head.rules_version != _NO_RULES and head.rules_version not in RULES_VERSIONS:
        allowed = f"{RULES_VERSIONS[0]} to {RULES_VERSIONS[-1]}"
        raise StateError(refusal("rules_version", head.rules_version, allowed))
    # A session begins with a record, and a record of orders takes a number for each.
    for name, of_one in (("epoch", 1), ("next_reservation_id", ORDERS_MAX)):
        if getattr(head, name) > head.next_sequence * of_one:
            allowed = f"to {head.next_sequence * of_one}"
            raise StateError(refusal(name, getattr(head, name), allowed))
    for name in ("instruments", "desks"):
        names = [item[0] for item in getattr(head, name)]
        if names != sorted(set(names)):
            raise StateError(f"its {name} are not in ascending order, each once")
    if [desk[0] for desk in head.desks] != [tenant[0] for tenant in head.tenants]:
        raise StateError("its desks are not its ledger's tenants")
    return head


def _state_of(head: StateHead) -> GuardState:
    """The state but for its ledger's balances and its orders."""
    state = GuardState(**{name: getattr(head, name) for name in PLAIN_FIELDS})
    if head.policy is not None:
        state.policy = PolicySnapshot.from_dict(head.policy)
    digest_hex = "" if state.policy is None else state.policy.digest.hex()
    if digest_hex != head.policy_digest_hex:
        raise StateError(f"its policy's digest is {digest_hex}, not {head.policy_digest_hex}")
    for instrument in head.instruments:
        state.instruments[instrument[0]] = define_instrument(*instrument)
    for name, is_halted, unpaid_fees in head.desks:
        if not unpaid_fees.isdecimal() or not unpaid_fees.isascii():
            raise StateError(f"desk {name} has unpaid fees of {unpaid_fees!r}; must be a number")
        state.desks[name] = Desk(name, is_halted, int(unpaid_fees))
    state.refuses_unknown_venues = head.refuses_unknown_venues is True
    for name, age_ms in head.order_ages_ms or ():
        if name not in state.desks:
            raise StateError(refusal("order_ages_ms", name, "the name of a desk"))
        state.desks[name].max_order_age_ms = age_ms
    take_accounts(state, head)
    _take_actions(state, head)
    _take_fees(state, head)
    _take_limits(state, head)
    take_people(state, head.people)
    return state


def _take_actions(state: GuardState, head: StateHead) -> None:
    """What operators did. Raises StateError where it names what is not there."""
    state.is_firm_stopped = head.is_firm_stopped is True
    state.is_firm_reducing = head.is_firm_reducing is True
    for field in ("stopped_desks", "reducing_desks"):
        for name in getattr(head, field) or ():
            if name not in state.desks:
                raise StateError(refusal(field, name, "the name of a desk"))
            setattr(state.desks[name], f"is_{field.partition('_')[0]}", True)
    for field in ("stopped_symbols", "reducing_symbols"):
        for symbol in getattr(head, field) or ():
            if symbol not in state.instruments:
                raise StateError(refusal(field, symbol, "the name of an instrument"))
            getattr(state, field).add(symbol)
    latches = head.latches or ()
    state.latches.load(latches, state.desks, state.instruments, head.next_sequence)
    state.note_latches()
    actions = head.actions or ()
    if len(actions) > ACTIONS_REMEMBERED_MAX:
        raise StateError(refusal("actions", len(actions), f"at most {ACTIONS_REMEMBERED_MAX}"))
    for action_id, sequence, digest_hex in actions:
        state.actions[action_id] = ActionDone(sequence, digest_hex)


def _take_shares(state: GuardState, head: StateHead) -> None:
    """Gives each desk its share of the orders that were read."""
    names = [] if head.shares is UNSET else head.shares
    shares = state.orders.shares
    wanted = sorted(state.desks) if shares.is_split else []
    if sorted(names) != wanted or len(shares.all) != 1 + len(names):
        raise StateError(f"shares: {len(names)} names and {len(shares.all)} shares for its desks")
    for number, name in enumerate(names, 1):
        state.desks[name].share = number
    shares.set_ids_max(state.remembered_orders_max)


def _take_fees(state: GuardState, head: StateHead) -> None:
    """What bounds fees, and what was given back of them."""
    for name, bps, minimum_microcents in head.fee_bounds or ():
        if name not in state.desks:
            raise StateError(f"desk {name} has a fee bound, and was never opened")
        state.desks[name].fee_bound_bps = bps
        state.desks[name].fee_minimum_microcents = minimum_microcents
    for name, returned_microcents in head.returned or ():
        if name not in state.desks:
            raise StateError(f"desk {name} has got fees back, and was never opened")
        state.desks[name].returned_microcents = returned_microcents


def _load_positions(state: GuardState, source: "_ExactReader", head: StateHead) -> None:
    """The positions of desks and symbols that there are, where they are kept."""
    if (state.rules_version >= POSITIONS_SINCE_RULES) != (head.positions is not UNSET):
        raise StateError(f"positions: of a state under rules version {state.rules_version}")
    if head.positions is UNSET:
        return
    since_sequence, count, symbols, state.positions.open_exits = head.positions
    if since_sequence >= state.next_sequence:
        raise StateError(refusal("positions", since_sequence, f"below {state.next_sequence}"))
    if sorted(symbols) != sorted(state.instruments):
        raise StateError(f"positions: {len(symbols)} symbols for {len(state.instruments)}")
    state.positions.begin(since_sequence, symbols)
    state.positions.load_pending(head.pending or [], count)
    state.positions.load(source.read, count)
    turned_count = head.turned_count or 0
    if turned_count > count:
        raise StateError(refusal("turned_count", turned_count, f"to {count}"))
    state.positions.load_turned(source.read(8 * turned_count))
    state.positions.load_uncounted(head.uncounted or [])
    state.prices.load(head.prices or [], len(symbols))
    state.measure_positions()
    for row in range(count):
        desk, _ = state.positions.key_of(row)
        if not 0 < desk < len(state.orders.shares.all):
            raise StateError(f"position row {row} is of desk number {desk}")


def _load_facts(state: GuardState, source: "_ExactReader", count: int) -> None:
    """What is kept beside orders and fills."""

    state.facts.load(_entries(source, count))
    state.note_facts()
    for fill_key in state.facts.fill_keys():
        if find_fill(state.orders, fill_key) == NO_ROW:
            raise StateError(f"{fill_key!r} is no fill that is remembered")


def _entries(source: "_ExactReader", count: int) -> Iterator[bytes]:
    for _ in range(count):
        (entry_bytes,) = _U32.unpack(source.read(_U32.size))
        if entry_bytes > FACT_BYTES_MAX:
            raise StateError(f"an entry has {entry_bytes} bytes; at most {FACT_BYTES_MAX}")
        yield source.read(entry_bytes)


def _load_executions(state: GuardState, source: "_ExactReader", count: int) -> None:
    """What is kept of drop copies; each waiting fill is of a position that there is."""
    state.executions.load(_entries(source, count))
    for key, fill in state.executions.unconfirmed.items():
        if not 0 <= fill.position_row < state.positions.count or fill.side not in (0, 1):
            raise StateError(f"{key!r} waits in position row {fill.position_row}")


def _read_holds(source: "_ExactReader", head: StateHead) -> Iterator[tuple[int, str, int]]:
    names = [tenant[0] for tenant in head.tenants]
    for at in range(0, head.hold_count, HOLDS_PER_PIECE):
        count = min(HOLDS_PER_PIECE, head.hold_count - at)
        for reservation_id, place, microcents in _HOLD.iter_unpack(source.read(count * _HOLD.size)):
            if place >= len(names):
                raise StateError(f"hold {reservation_id} is of tenant {place} of {len(names)}")
            yield reservation_id, names[place], microcents


class _ExactReader:
    """Gives exactly as many bytes as are asked for."""

    def __init__(self, read: Reader) -> None:
        self._read = read

    def read(self, byte_count: int) -> bytes:
        """Raises StateError where the payload ends before."""
        parts = []
        left = byte_count
        while left:
            part = self._read(left)
            if not part:
                raise StateError(f"it ends {left} bytes too early")
            parts.append(part)
            left -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)
