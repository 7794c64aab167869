"""The payload of a checkpoint: a state out and in again, its digest, and what is refused."""

import dataclasses
import hashlib
import io
import struct
from collections.abc import Callable

import msgspec
import pytest

from guard.engine.engine import Engine
from guard.engine.events import OperatorActed, TradingHalted
from guard.engine.state import GuardState
from guard.record.codec import decode_data
from guard.recovery.checkpoint_payload import (
    HEAD_BYTES_MAX,
    PAYLOAD_TAG,
    PLAIN_FIELDS,
    STATE_DIGEST_TAG,
    decode_state,
    encode_state,
    state_digest_hex,
)
from guard.recovery.state_head import StateError, StateHead
from guard_day_support import trading_day
from guard_support import (
    U64_MAX,
    LoggedEngine,
    actor,
    apply,
    cancel,
    describe,
    fill,
    fold,
    order,
)

DAY = trading_day()
COUNTERS_BYTES = 16
HEAD_AT = len(PAYLOAD_TAG) + COUNTERS_BYTES
HOLD_BYTES = 20


def payload_of(state: GuardState) -> bytes:
    return b"".join(encode_state(state))


def restored(state: GuardState) -> GuardState:
    return decode_state(io.BytesIO(payload_of(state)).read)


def dribble(payload: bytes) -> Callable[[int], bytes]:
    """A reader that gives less than it was asked for."""
    source = io.BytesIO(payload)
    return lambda count: source.read(max(1, min(count, 99_991)))


@pytest.mark.parametrize("count", [0, 1, 3, 8, 20, 28, len(DAY.records)])
def test_a_state_comes_back_whole(count: int) -> None:
    state = fold(DAY.records[:count]).state
    again = decode_state(dribble(payload_of(state)))
    assert describe(again) == describe(state)
    assert payload_of(again) == payload_of(state)
    assert state_digest_hex(again) == state_digest_hex(state)


@pytest.mark.parametrize("count", range(1, len(DAY.records), 3))
def test_the_rest_of_the_log_leads_to_the_same_digest(count: int) -> None:
    """From the log alone, or from a checkpoint after any record and the rest of the log."""
    engine = Engine(restored(fold(DAY.records[:count]).state))
    for data in DAY.records[count:]:
        apply(engine, engine.next_sequence, decode_data(data).outcome)
    assert state_digest_hex(engine.state) == state_digest_hex(DAY.state)
    assert describe(engine.state) == describe(DAY.state)


def test_forgotten_orders_leave_the_digest_to_the_log_alone() -> None:
    """Rows that are freed and used again are part of the history, not of who restored it when."""
    day = LoggedEngine()
    day.is_checked = False
    states = []
    for number in range(60):
        at_ns = day.now_ns + 10_000_000_000_000
        day.admit(order(f"A-{number}"), at_ns)
        if number % 3:
            day.submit(fill(client_order_id=f"A-{number}", quantity=number))
        if number % 2:
            day.submit(cancel(f"A-{number}"))
        if number % 7 == 0:
            states.append((len(day.records), payload_of(day.state)))
    assert len(day.state.orders) < 60
    for count, payload in states:
        engine = Engine(decode_state(io.BytesIO(payload).read))
        for data in day.records[count:]:
            apply(engine, engine.next_sequence, decode_data(data).outcome)
        assert payload_of(engine.state) == payload_of(day.state)


def test_the_digest_is_independent_of_snapshot_counters() -> None:
    state = fold(DAY.records).state
    before = state_digest_hex(state)
    state.ledger.certify_ledger()
    assert state_digest_hex(state) == before
    assert restored(state).ledger.snapshot() == state.ledger.snapshot()


def test_the_digest_is_independent_of_the_order_of_tables() -> None:
    state, other = fold(DAY.records).state, fold(DAY.records).state
    other.desks = dict(reversed(other.desks.items()))
    other.instruments = dict(reversed(other.instruments.items()))
    other.ledger._tenants = dict(reversed(other.ledger._tenants.items()))
    other.ledger._caps = dict(reversed(other.ledger._caps.items()))
    assert state_digest_hex(other) == state_digest_hex(state)


def test_the_digest_of_nothing() -> None:
    """Pinned: another value is another format."""
    digest_hex = "9e4ba19f368a967670dc825236192f0dfff8691f2ef991f21ce919d59a22f8eb"
    assert state_digest_hex(GuardState()) == digest_hex


def test_every_record_changes_the_digest() -> None:
    engine = Engine()
    seen = {state_digest_hex(engine.state)}
    for count, data in enumerate(DAY.records, 1):
        apply(engine, count, decode_data(data).outcome)
        seen.add(state_digest_hex(engine.state))
    assert len(seen) == len(DAY.records) + 1


def test_every_field_of_a_state_is_kept() -> None:
    """A field that is added to the state must get into the payload, and its version."""
    # `found` is what a request's names stand for while it is decided: worked out, not kept.
    by_operators = {"is_firm_stopped", "stopped_symbols", "actions"}
    by_operators |= {
        "stopped_names",
        "reducing_names",
        "is_firm_reducing",
        "reducing_symbols",
        "latches",
        "people",
    }
    # `session_clock_ns` is of a start, from its first record to where its rules begin.
    fields = {field.name for field in dataclasses.fields(GuardState)}
    fields -= {"found", "session_clock_ns", "has_facts", "facts_expire_at_ns", "has_limits"}
    fields -= {"has_latches", "due_at_ns", "has_overrides", "has_losses", "losses_due"}
    fields -= {"book", "has_locates"}  # of the open orders, and of the locates
    behind = {"ledger", "orders", "facts", "positions", "executions"}
    written = {"policy", "instruments", "desks", "refuses_unknown_venues", "limits", "elapsed_ns"}
    written |= {"prices", "locates", "accounts"}
    assert fields == {*PLAIN_FIELDS, *written, *by_operators, *behind}
    ledger = {"tenants", "caps", "next_reservation_id", "hold_count"}
    of_desks = {
        "order_ages_ms",
        "shares",
        "stopped_desks",
        "reducing_desks",
        "stopped_accounts",
        "reducing_accounts",
        "fee_bounds",
        "returned",
    }
    behind.remove("positions")
    expected = fields - behind | ledger | of_desks | {"fact_count", "rates", "recent", "repeated"}
    expected |= {"has_wide_orders", "has_chains", "pending", "execution_count"}
    expected |= {"turned_count", "uncounted"}
    assert set(StateHead.__struct_fields__) == expected


def test_unpaid_fees_have_no_bound() -> None:
    state = fold(DAY.records).state
    state.desks["desk-alpha"].unpaid_fees_microcents = 3 * U64_MAX
    assert restored(state).desks["desk-alpha"].unpaid_fees_microcents == 3 * U64_MAX


PAYLOAD = payload_of(DAY.state)
(HEAD_BYTES,) = struct.unpack_from("<I", PAYLOAD, HEAD_AT)
BODY_AT = HEAD_AT + 4 + HEAD_BYTES
HEAD = msgspec.json.decode(PAYLOAD[HEAD_AT + 4 : BODY_AT])


def with_head(**changes: object) -> bytes:
    """The payload with another head."""
    head = msgspec.json.encode(HEAD | changes)
    return PAYLOAD[:HEAD_AT] + struct.pack("<I", len(head)) + head + PAYLOAD[BODY_AT:]


def test_the_payload_is_laid_out_as_the_format_says() -> None:
    assert PAYLOAD.startswith(b"pretrade-guard.state.v1\0" + bytes(COUNTERS_BYTES))
    assert with_head() == PAYLOAD
    assert HEAD["hold_count"] == DAY.state.ledger.active_reservations == 2
    holds = [
        (hold.reservation_id, ["desk-alpha", "desk-beta", "desk-gamma"].index(hold.tenant_id))
        for hold in DAY.state.ledger.export_state().holds
    ]
    for place, (reservation_id, tenant) in enumerate(holds):
        row = struct.unpack_from("<QIq", PAYLOAD, BODY_AT + place * HOLD_BYTES)
        assert row[:2] == (reservation_id, tenant)
    orders = b"".join((*DAY.state.orders.dump(), *DAY.state.positions.dump()))
    assert HEAD["positions"] == [1, DAY.state.positions.count, SYMBOLS, 0]
    facts = [struct.pack("<I", len(fact)) + fact for fact in DAY.state.facts.dump()]
    assert len(facts) == HEAD["fact_count"] == 1
    assert PAYLOAD[BODY_AT + len(holds) * HOLD_BYTES :] == orders + b"".join(facts)
    digest = hashlib.sha256(STATE_DIGEST_TAG + PAYLOAD[HEAD_AT:]).hexdigest()
    assert digest == state_digest_hex(DAY.state)


DESKS = HEAD["desks"]
SYMBOLS = HEAD["positions"][2]
WITHOUT_POSITIONS = msgspec.json.encode({k: v for k, v in HEAD.items() if k != "positions"})
REFUSED = [
    (b"", "it ends 24 bytes too early"),
    (b"pretrade-guard.state.v2\0" + PAYLOAD[24:], "it does not begin as a state of this version"),
    (PAYLOAD[:HEAD_AT], "it ends 4 bytes too early"),
    (PAYLOAD[: HEAD_AT + 9], f"it ends {HEAD_BYTES - 5} bytes too early"),
    (PAYLOAD[:-1], "it ends 1 bytes too early"),
    (PAYLOAD + b"\0", "something follows its end"),
    (
        PAYLOAD[:HEAD_AT] + struct.pack("<I", HEAD_BYTES_MAX + 1) + PAYLOAD[HEAD_AT + 4 :],
        f"its head has {HEAD_BYTES_MAX + 1} bytes; allowed: at most {HEAD_BYTES_MAX}",
    ),
    (with_head(epoch="1"), "epoch: '1' is not allowed; allowed: int"),
    (with_head(another=1), "Object contains unknown field `another`"),
    (with_head(policy_digest_hex="00" * 32), "its policy's digest is [0-9a-f]{64}, not 0000"),
    (with_head(policy=HEAD["policy"] | {"models": []}), "models is empty"),
    (with_head(policy={"models": 1}), "models is 1; must be a list"),
    (with_head(policy=None), "its policy's digest is , not [0-9a-f]{64}"),
    (with_head(instruments=[["X", "0", "1", "1"]]), "tick_size: '0' is not allowed"),
    (with_head(instruments=HEAD["instruments"][::-1]), "its instruments are not in ascending"),
    (with_head(desks=DESKS[::-1]), "its desks are not in ascending order, each once"),
    (with_head(desks=DESKS[:1]), "its desks are not its ledger's tenants"),
    (with_head(desks=[[*desk[:2], "-1"] for desk in DESKS]), "has unpaid fees of '-1'"),
    (with_head(desks=[[*desk[:2], "1٣"] for desk in DESKS]), "has unpaid fees of '1٣'"),
    (with_head(next_reservation_id=1), "holds: 3 follows 0; must be above it, and below"),
    (with_head(hold_count=1), "reserved_microcents of 'desk-gamma' is 10500000 off"),
    (with_head(hold_count=-1), "hold_count is -1; must be an integer"),
    (with_head(tenants=[]), "its desks are not its ledger's tenants"),
    (with_head(positions=[1, 3, ["AAPL"], 0]), "positions: 1 symbols for 3"),
    (with_head(positions=[2**62, 3, SYMBOLS, 0]), "positions: 4611686018427387904 is not"),
    (with_head(positions=[1, 2, SYMBOLS, 0]), "Expected `array`, got `int`"),
    (with_head(positions=[1, 2**32, SYMBOLS, 0]), "it ends [0-9]+ bytes too early"),
    (
        PAYLOAD[:HEAD_AT]
        + struct.pack("<I", len(WITHOUT_POSITIONS))
        + WITHOUT_POSITIONS
        + PAYLOAD[BODY_AT:],
        "positions: of a state under rules version 3",
    ),
    (
        PAYLOAD[: BODY_AT + 8] + b"\xff\0\0\0" + PAYLOAD[BODY_AT + 12 :],
        "hold [0-9]+ is of tenant 255 of 3",
    ),
]


@pytest.mark.parametrize(("payload", "words"), REFUSED, ids=[words[:40] for _, words in REFUSED])
def test_what_is_no_state_is_refused(payload: bytes, words: str) -> None:
    with pytest.raises(StateError, match=f"^(?:.*)({words})"):
        decode_state(io.BytesIO(payload).read)


@pytest.mark.parametrize("at", range(0, 2_500, 61))
def test_a_flipped_bit_is_refused_or_shows_in_the_digest(at: int) -> None:
    """The log's checks find it first, by the hash of the file; this is the second line."""
    damaged = bytearray(PAYLOAD)
    damaged[at] ^= 1
    try:
        state = decode_state(io.BytesIO(bytes(damaged)).read)
    except StateError:
        return
    counters = len(PAYLOAD_TAG) <= at < HEAD_AT
    assert (state_digest_hex(state) == state_digest_hex(DAY.state)) == counters


def acted() -> GuardState:
    """A state in which operators have halted what there is, and done something twice."""
    logged = LoggedEngine()
    for number, (scope, name) in enumerate(
        [("firm", ""), ("desk", "desk-alpha"), ("symbol", "AAPL")]
    ):
        logged.log(actor().event(TradingHalted, scope=scope, name=name, action_id=f"h-{number}"))
    logged.log(actor().event(OperatorActed, action="rotate", action_id="r-1"))
    return logged.state


def test_what_operators_did_is_kept() -> None:
    state = acted()
    again = decode_state(dribble(payload_of(state)))
    assert describe(again) == describe(state)
    assert payload_of(again) == payload_of(state)
    assert again.is_firm_stopped
    assert again.desks["desk-alpha"].is_stopped
    assert again.stopped_symbols == {"AAPL"}
    assert list(again.actions) == ["h-0", "h-1", "h-2", "r-1"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b'["desk-alpha"]', b'["desk-omega"]', "stopped_desks"),
        (b'["AAPL"]', b'["AAPX"]', "stopped_symbols"),
        (b'["h-0",8,"', b'["h-0",0,"', "actions"),
    ],
)
def test_what_operators_cannot_have_done_is_refused(old: bytes, new: bytes, words: str) -> None:
    payload = payload_of(acted())
    assert old in payload
    with pytest.raises(StateError, match=words):
        decode_state(io.BytesIO(payload.replace(old, new)).read)
