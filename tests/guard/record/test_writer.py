"""The journal: outcomes ↔ records, byte for byte. The records are a file format.

`data/golden_day.jsonl` pins the exact text of one day's records, every event of the first version
of the rules among them, `data/golden_facts.jsonl` those of the second. A change of either is a
change of the format: logs that exist would no longer be replayed. It needs a new
`LOG_FORMAT_VERSION` or `RULES_VERSION` and a reader for the old one, not a new golden file.
"""

import json
from pathlib import Path
from typing import Any, get_args

import calybris
import pytest
from hypothesis import given
from hypothesis import strategies as st

import guard
from guard.engine.account_events import AccountSet
from guard.engine.events import (
    LOG_FORMAT_VERSION,
    RULES_VERSION,
    BudgetLowered,
    ClockAccepted,
    DayClosed,
    DeskOpened,
    DeskOrderAgeLimited,
    HoldFreed,
    KeyChanged,
    LimitsSet,
    OperatorActed,
    Outcome,
    Revalued,
    RulesActivated,
    SettingsActivated,
    TradingHalted,
    TradingReduced,
    TradingResumed,
)
from guard.engine.key_handover import KeyHandover
from guard.engine.locate_events import LocateAdded, LocateRemoved
from guard.engine.loss_events import LossBreached
from guard.engine.people_events import (
    ApprovalsSet,
    LatchLifted,
    LatchSet,
    LooseningReverted,
    OrderOverridden,
    OverrideExpired,
    PositionOpened,
    ProposalExpired,
    ProposalWithdrawn,
    Proposed,
)
from guard.engine.request_events import (
    AllOrNoneRecorded,
    CanceledAllRecorded,
    ExecutionRecorded,
    ReductionRecorded,
    ReplaceDone,
    ReplaceFailed,
)
from guard.protocol.outcome import Outcome as RequestOutcome
from guard.protocol.request import Request
from guard.record.codec import DIALECT, RecordError, decode_data, decode_event, encode_event
from guard.record.reader import RecordReader
from guard_day_support import facts_day, trading_day
from guard_support import (
    CHECKOUT,
    KEY,
    SECOND_NS,
    T0,
    LoggedEngine,
    actor,
    cancel,
    fill,
    order,
)
from kernel.records import KernelDecision, KernelInput
from reference.journal import encode_data
from wal import GENESIS, ChainHasher, encode_line

GOLDEN_DAY = (CHECKOUT / "tests" / "data" / "golden_day.jsonl").read_bytes().splitlines()
DAY = trading_day(as_given=True, rules_version=1)  # of which that is the text
RULES_ACTIVATED = (
    b'{"event":"rules_activated","received_at_ns":1700000000000000000,"client":"local",'
    b'"batch_first_sequence":1,"by":"tester","why":"a test","rules_version":2,'
    b'"previous_rules_version":1}'
)
_HEAD = b'"received_at_ns":1700000000000000000,"client":"local","batch_first_sequence":1,'
_WHO = b'"by":"tester","why":"a test",'
_KEY = (
    b'{"key_id":"0123456789abcdef","previous_key_id":"fedcba9876543210",'
    b'"sealed_segment":"00000001.jsonl","sealed_bytes":7,"sealed_sha256":"%b","key_number":1}'
    % (b"ab" * 32)
)
# What came with rules version 2, and later.
SINCE_BOUNDS: dict[bytes, dict[str, Any]] = {
    b'{"event":"key_changed",%b%b"key":%b}' % (_HEAD, _WHO, _KEY): {
        "kind": KeyChanged,
        "key": KeyHandover(
            "0123456789abcdef", "fedcba9876543210", "00000001.jsonl", 7, "ab" * 32, 1
        ),
    },
    b'{"event":"clock_accepted",%b%b"previous_ns":1700000000000000001}' % (_HEAD, _WHO): {
        "kind": ClockAccepted,
        "previous_ns": T0 + 1,
    },
    b'{"event":"desk_order_age_limited",%b%b"desk":"desk-alpha","max_order_age_ms":1500}'
    % (_HEAD, _WHO): {"kind": DeskOrderAgeLimited, "desk": "desk-alpha", "max_order_age_ms": 1_500},
    b'{"event":"desk_order_age_limited",%b%b"desk":"desk-alpha","max_order_age_ms":null}'
    % (_HEAD, _WHO): {"kind": DeskOrderAgeLimited, "desk": "desk-alpha", "max_order_age_ms": None},
    b'{"event":"desk_opened",%b%b"desk":"d","budget_microcents":1,"max_reserved_microcents":null,'
    b'"max_order_age_ms":1}' % (_HEAD, _WHO): {
        "kind": DeskOpened,
        "desk": "d",
        "budget_microcents": 1,
        "max_reserved_microcents": None,
        "max_order_age_ms": 1,
    },
    b'{"event":"settings_activated",%b%b"currency":"USD","remembered_orders_max":1,'
    b'"remembered_order_window_ns":1000000000,"refuses_unknown_venues":true}' % (_HEAD, _WHO): {
        "kind": SettingsActivated,
        "currency": "USD",
        "remembered_orders_max": 1,
        "remembered_order_window_ns": SECOND_NS,
        "refuses_unknown_venues": True,
    },
}
GOLDEN_FACTS = (CHECKOUT / "tests" / "data" / "golden_facts.jsonl").read_bytes().splitlines()
FACTS = facts_day(as_given=True)
GOLDEN = [*GOLDEN_DAY, RULES_ACTIVATED, *SINCE_BOUNDS, *GOLDEN_FACTS]

AUDIT_KEYS = [
    "schema_version",
    "digest_algorithm",
    "proof_version",
    "policy_epoch",
    "catalog_epoch",
    "created_by",
    "policy_digest_hex",
    "input_digest_hex",
    "decision_digest_hex",
    "replay_valid",
]


def _decisions() -> list[bytes]:
    return [data for data in DAY.records if data.startswith(b'{"audit":')]


def test_the_text_of_every_record_is_pinned() -> None:
    version = f'"software_version":"{guard.__version__}"'.encode()
    first = DAY.records[0].replace(version, b'"software_version":"9.9.9"')
    assert [first, *DAY.records[1:]] == GOLDEN_DAY
    first = FACTS.records[0].replace(version, b'"software_version":"9.9.9"')
    assert [first, *FACTS.records[1:]] == GOLDEN_FACTS
    event = actor().event(RulesActivated, rules_version=2, previous_rules_version=1)
    assert encode_event(event) == RULES_ACTIVATED
    for data, fields in SINCE_BOUNDS.items():
        values = dict(fields)
        assert encode_event(actor().event(values.pop("kind"), **values)) == data


def clocked_day() -> LoggedEngine:
    """One record of each kind that answers a request, while the clock says something else."""
    day = LoggedEngine(as_given=True)
    day.clock_ns = T0 - 5 * SECOND_NS
    for request in (order(), order("A-2", desk="nobody"), order("A-3", risk_bps=10_000)):
        day.submit(request)
    day.submit(fill())
    day.submit(fill("F-2", fee=10**15))
    day.submit(cancel())
    return day


def test_what_the_clock_said_stands_at_an_events_end() -> None:
    plain, clocked = LoggedEngine(as_given=True), clocked_day()
    for request in (order(), order("A-2", desk="nobody"), order("A-3", risk_bps=10_000)):
        plain.submit(request)
    plain.submit(fill())
    plain.submit(fill("F-2", fee=10**15))
    plain.submit(cancel())
    said = b',"clock_ns":%d}' % (T0 - 5 * SECOND_NS)
    first = 7
    for without, data in zip(plain.records[first:], clocked.records[first:], strict=True):
        is_decision = without.startswith(b'{"audit":')
        end = len(without) - is_decision
        assert data == without[: end - 1] + said + without[end:]
        decided = decode_data(data)
        assert encode_data(decided) == data
        assert decided.outcome.clock_ns == T0 - 5 * SECOND_NS  # type: ignore[union-attr]
        request, outcome = Request(), RequestOutcome()
        assert RecordReader().read(data, request, outcome)
        assert request.clock_ns == T0 - 5 * SECOND_NS
        assert RecordReader().read(without, request, outcome)
        assert request.clock_ns == 0


@pytest.mark.parametrize(
    "digits", [b"0", b"01", b"-1", b"1.0", b"9223372036854775807", b"1" * 40, b""]
)
def test_a_clock_that_no_guard_writes_is_not_read(digits: bytes) -> None:
    for data in clocked_day().records[7:]:
        at = data.rindex(b'"clock_ns":') + len(b'"clock_ns":')
        end = data.index(b"}", at)
        request, outcome = Request(), RequestOutcome()
        assert not RecordReader().read(data[:at] + digits + data[end:], request, outcome)


def test_versions_of_the_format_are_pinned() -> None:
    assert (LOG_FORMAT_VERSION, RULES_VERSION) == (1, 3)


# What came later: the tests of `guard.admin.actions` and of the request encode and decode each.
BY_OPERATORS = {
    ApprovalsSet,
    Proposed,
    ProposalWithdrawn,
    ProposalExpired,
    LooseningReverted,
    ExecutionRecorded,
    PositionOpened,
    OrderOverridden,
    OverrideExpired,
    LatchLifted,
    LossBreached,
    Revalued,
    LatchSet,
    LimitsSet,
    BudgetLowered,
    TradingHalted,
    TradingReduced,
    TradingResumed,
    HoldFreed,
    OperatorActed,
    DayClosed,
    ReductionRecorded,
    LocateAdded,
    LocateRemoved,
    AccountSet,
    CanceledAllRecorded,
    AllOrNoneRecorded,
    ReplaceDone,
    ReplaceFailed,
}


def test_the_golden_day_has_every_event() -> None:
    found = {type(decode_data(data).outcome) for data in GOLDEN}
    assert found == set(get_args(Outcome)) - BY_OPERATORS


@pytest.mark.parametrize("number", range(len(GOLDEN)))
def test_encoding_what_was_decoded_gives_the_same_bytes(number: int) -> None:
    data = GOLDEN[number]
    decided = decode_data(data)
    assert encode_data(decided) == data
    assert (decided.kernel is not None) == data.startswith(b'{"audit":')
    # Canonical also to another JSON library: compact, in this order, nothing escaped needlessly.
    text = json.dumps(json.loads(data), separators=(",", ":"), ensure_ascii=False)
    assert text.encode() == data


def test_events_begin_with_their_head() -> None:
    for data in GOLDEN:
        event = json.loads(data)
        event = event.get("metadata", event)
        head = ["event", "received_at_ns", "client", "batch_first_sequence"]
        assert list(event)[:4] == head
        if event["event"] not in ("order", "order_refused", "fill", "release"):
            assert list(event)[4:6] == ["by", "why"]


def test_a_decision_record_has_exactly_the_formats_keys_in_order() -> None:
    for data in _decisions():
        record = json.loads(data)
        assert list(record) == ["audit", "input", "decision", "metadata"]
        assert list(record["audit"]) == AUDIT_KEYS
        assert list(record["input"]) == list(KernelInput.LAYOUT.field_names)
        assert list(record["decision"]) == list(KernelDecision.LAYOUT.field_names)
        audit = record["audit"]
        assert (audit["schema_version"], audit["digest_algorithm"], audit["proof_version"]) == (
            "calybris.audit.v1",
            "sha256",
            1,
        )
        assert (audit["created_by"], audit["replay_valid"]) == ("calybris", True)
        assert record["input"]["request_sequence"] == record["decision"]["request_sequence"]
        assert record["input"]["output_tokens"] == 1_000_000


def _wheel_policy() -> calybris.PolicySnapshot:
    policy = DAY.state.policy
    assert policy is not None
    fields = policy.as_dict()
    models = [calybris.KernelModel(**model) for model in fields.pop("models")]
    return calybris.PolicySnapshot(**fields, models=models)


def _chained(records: list[bytes]) -> bytes:
    hasher, previous, lines = ChainHasher(KEY), GENESIS, []
    for sequence, data in enumerate(records, 1):
        entry_hash = hasher.entry_hash(previous, data)
        lines.append(encode_line(sequence, previous, entry_hash, data))
        previous = entry_hash
    return b"".join(lines)


def test_the_decision_records_alone_pass_the_wheels_replay(tmp_path: Path) -> None:
    path = tmp_path / "export.jsonl"
    path.write_bytes(_chained(_decisions()))
    results = calybris.replay_verify_audited_wal(path, _wheel_policy(), hmac_key=KEY)
    assert len(results) == len(_decisions()) == 10
    whole = tmp_path / "whole.jsonl"
    whole.write_bytes(_chained(DAY.records))
    assert calybris.verify_audited_wal(whole, hmac_key=KEY)[0] == len(DAY.records)


def test_the_wheel_finds_a_changed_decision(tmp_path: Path) -> None:
    path = tmp_path / "export.jsonl"
    records = _decisions()
    records[1] = records[1].replace(b'"eligible_models":3', b'"eligible_models":2')
    path.write_bytes(_chained(records))
    with pytest.raises(calybris.CalybrisError):
        calybris.replay_verify_audited_wal(path, _wheel_policy(), hmac_key=KEY)


def _changed(old: bytes, new: bytes, data: bytes) -> bytes:
    assert old in data, old
    return data.replace(old, new, 1)


ADMIT = GOLDEN[7]
FILL = next(data for data in GOLDEN if data.startswith(b'{"event":"fill"'))
NO_RECORDS: list[bytes] = [
    b"",
    b"{}",
    b"null",
    b"[]",
    b"1",
    b'"event"',
    b"\xff",
    b'{"event":"\xff"}',
    b'{"event":"bogus"}',
    b'{"event":"order"}',  # a decision without its audit
    b'{"audit":',
    b'{"audit":{}}',
    b'{"audit":' + b"[" * 5_000,
    b'{"event":' + b"[" * 5_000,
    FILL[:-1],
    FILL + b"x",
    _changed(b'"halts_desk":false', b'"halts_desk":0', FILL),
    _changed(b'"halts_desk":false', b'"halts_desk":false,"more":1', FILL),
    _changed(b',"halts_desk":false', b"", FILL),
    _changed(b'"quantity":40', b'"quantity":0', FILL),
    _changed(b'"quantity":40', b'"quantity":4e1', FILL),
    _changed(b'"action":"ExecuteRequested"', b'"action":"Execute"', ADMIT),
    _changed(b'"reason":"RequestedModel', b'"reason":"requestedModel', ADMIT),
    _changed(b'"input_tokens":100', b'"input_tokens":4294967296', ADMIT),
    _changed(b'"input_tokens":100', b'"input_tokens":-1', ADMIT),
    _changed(b'"selected_model_index":0', b'"selected_model_index":65536', ADMIT),
    _changed(b'"replay_valid":true', b'"replay_valid":1', ADMIT),
    _changed(b'"replay_valid":true', b'"replay_valid":true,"more":1', ADMIT),
    _changed(b'"event":"order"', b'"event":"order_refused"', ADMIT),
    _changed(b'"metadata":{', b'"more":1,"metadata":{', ADMIT),
    _changed(b'"wal_sequence":8', b'"wal_sequence":' + b"9" * 5_000, ADMIT),
]


@pytest.mark.parametrize("data", NO_RECORDS, ids=lambda data: repr(data[:20]))
def test_what_is_no_record_is_a_record_error(data: bytes) -> None:
    with pytest.raises(RecordError, match=r"^no record of this guard: "):
        decode_data(data)


@given(st.binary(max_size=200), st.integers(0, len(GOLDEN) - 1), st.integers(0, 600))
def test_any_bytes_are_a_record_or_a_record_error(noise: bytes, number: int, at: int) -> None:
    data = GOLDEN[number]
    for candidate in (noise, data[:at] + noise[:3] + data[at + len(noise[:3]) :]):
        try:
            decided = decode_data(candidate)
        except RecordError:
            continue
        encode_data(decided)


def test_the_dialect_knows_the_heads() -> None:
    for data in GOLDEN:
        event = json.loads(data)
        event = event.get("metadata", event)
        assert DIALECT.is_native_head(data) == (event["event"] == "log_opened")
        assert DIALECT.is_clean_close(data) == (event["event"] == "session_closed")
        assert DIALECT.batch_first_sequence(data) == event["batch_first_sequence"]
    assert DIALECT.named_key_id(GOLDEN[0]) == "test-key-id"
    assert DIALECT.named_key_id(GOLDEN[1]) is None


@given(st.binary(max_size=100), st.integers(0, 400))
def test_the_dialect_never_raises(noise: bytes, at: int) -> None:
    opened = b'{"event":"log_opened",' + noise
    for data in (noise, GOLDEN[0][:at] + noise, ADMIT[:at] + noise, opened):
        DIALECT.is_native_head(data)
        DIALECT.is_clean_close(data)
        assert DIALECT.batch_first_sequence(data) is None or data
        DIALECT.named_key_id(data)


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[1]", b'{"batch_first_sequence":"1"}', b'{"metadata":1}', b"[" * 9_000, b"\xff",
     b'{"batch_first_sequence":' + b"9" * 5_000 + b"}"],
    ids=lambda data: repr(data[:20]),
)  # fmt: skip
def test_foreign_data_names_no_batch(data: bytes) -> None:
    assert DIALECT.batch_first_sequence(data) is None
    assert DIALECT.named_key_id(b'{"event":"log_opened",' + data) is None


TEXTS: Any = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=64)


@given(TEXTS, st.integers(1, 2**63 - 1), st.integers(1, 2**63 - 1), st.integers(0, 10_000))
def test_any_order_makes_the_round_trip(name: str, quantity: int, price: int, risk: int) -> None:
    engine = LoggedEngine()  # asserts the round trip itself
    engine.submit(order(name, quantity=quantity, price=price, risk_bps=risk), T0)
    engine.submit(order(name, quantity=quantity, price=price, risk_bps=risk, side="sell"), T0)


DECISION = next(data for data in trading_day().records if data.startswith(b'{"audit"'))


@pytest.mark.parametrize("data", trading_day().records)
def test_the_event_alone_is_that_of_the_whole_record(data: bytes) -> None:
    assert decode_event(data) == decode_data(data).outcome


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'},"metadata":{"event"', b'}, "metadata": {"event"'),
        (b'},"metadata":{"event":"order",', b'},"metadata":{"client":"local","event":"order",'),
        (b'}}}', b'}},"more":{}}'),
        (b'"calybris"', b'"\\"},\\"metadata\\":{\\"event\\":\\"order\\","'),
    ],
)  # fmt: skip
def test_a_record_in_another_form_gives_its_event_all_the_same(old: bytes, new: bytes) -> None:
    assert old in DECISION
    data = DECISION.replace(old, new, 1) if old != b"}}}" else DECISION[:-3] + new
    assert decode_event(data) == decode_event(DECISION)


@pytest.mark.parametrize("end", [b"", b"}", b"}}", b"}}}}", b"}}},"])
def test_a_record_that_breaks_off_or_goes_on_has_no_event(end: bytes) -> None:
    with pytest.raises(RecordError):
        decode_event(DECISION[:-3] + end)
