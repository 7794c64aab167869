"""Records that no guard writes, chained anew by whoever has the key: no start, no replay of them.

Each case changes one field of one record of a day (`Forged`); the log around it is as its guard
would have written it. A start and a replay must refuse it at that record, naming the field, its
value and what is allowed: from the first record on, and from a checkpoint before it.
"""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from daemon_support import Site
from guard.recovery.checkpoint_payload import PAYLOAD_TAG, encode_state, state_digest_hex
from guard.recovery.recover import NotOurLogError, fold_log, recover_log
from guard.replay.replay import ReplayMismatch, replay_log
from guard_audit_support import changed
from guard_day_support import trading_day
from guard_support import KEY, LOG_ID, T0, LoggedEngine, fold, order, settled, write_log
from wal import ChainHasher, CheckpointInfo, Head, write_checkpoint

HASHER = ChainHasher(KEY)
ANOTHER_ID = ChainHasher(bytes(range(1, 33))).key_id
DAY = trading_day()
OPENING_RECORDS = 7
OF_CLIENTS = {"order", "order_refused", "fill", "release"}
SEGMENT = "00000001.jsonl"
U64_BEYOND, HUGE = str(2**64), "1" + "0" * 400
HASH = re.compile(rb'"recovered_hash":"([0-9a-f]{64})"')


class Forged(NamedTuple):
    """In the first record of that event that has it, or in record `at`, `old` becomes `new`, once.

    `words`: of the complaint, behind the record's place. `is_whole`: only who reads the log from
    its first record on can tell.
    """

    event: str
    old: str
    new: str
    words: str
    at: int = 0
    is_whole: bool = False

    def sequence(self) -> int:
        marks = f'"event":"{self.event}"'.encode(), self.old.encode()
        found = [at for at, data in enumerate(DAY.records, 1) if all(m in data for m in marks)]
        assert self.at in (0, *found)
        return self.at or found[0]

    def records(self) -> list[bytes]:
        at = self.sequence() - 1
        changed = DAY.records[at].replace(self.old.encode(), self.new.encode(), 1)
        assert changed != DAY.records[at]
        records = [*DAY.records[:at], changed, *DAY.records[at + 1 :]]
        return records if "recovered_hash" in self.new else settled(records)


def integers(event: str, field: str, said: object, low: str, high: str | None) -> Iterator[Forged]:
    """A field beyond either end of its range, and where no integer of 64 bits can be."""
    words = f"{field.rpartition('.')[2]}: "
    old = f'"{field}":{said}'
    yield Forged(event, old, f'"{field}":{low}', rf"{words}{low} is not allowed; allowed: int >=")
    if high is not None:
        allowed = f"{words}({high}|an integer of) .*not allowed; allowed: int <="
        for value in (high, HUGE):
            yield Forged(event, old, f'"{field}":{value}', allowed)


def texts(event: str, field: str, said: str, *values: str) -> Iterator[Forged]:
    for value in values:
        words = rf"{field}: '{re.escape(value[:40])}' is not allowed; allowed: str matching"
        yield Forged(event, f'"{field}":"{said}"', f'"{field}":"{value}"', words)


def heads() -> Iterator[Forged]:
    """Of records that go each its way: through a row, decided again, applied as it stands."""
    for number in (9, 13, 17, 18, 19, 35):
        event = json.loads(DAY.records[number - 1])
        event = event.get("metadata", event)
        name, at = event["event"], event["received_at_ns"]
        for value, words in (
            (-5, "-5 is not allowed; allowed: int >= 0"),
            (at - 1, f"{at - 1} is not allowed; allowed: from {at}, of the record before, to"),
            (2**63 - 1, "9223372036854775807 is not allowed; allowed: int <= 9223372036854775806"),
            (U64_BEYOND, f"{U64_BEYOND} is not allowed; allowed: int <= 9223372036854775806"),
            (HUGE, "an integer of 1329 bits is not allowed; allowed: int <= 9223372036854775806"),
        ):
            forged = f'"received_at_ns":{value},'
            yield Forged(
                name, f'"received_at_ns":{at},', forged, f"received_at_ns: {words}", number
            )
        old, of_client = '"client":"local"', name in OF_CLIENTS
        for client, words in (
            ("X-1", "" if of_client else "'X-1' is not allowed; allowed: local"),
            ("X 1", f"'X 1' is not allowed; allowed: {'the name' if of_client else 'local'}"),
            ("", "'' is not allowed; allowed: "),
            ("x" * 33, f"'{'x' * 33}' is not allowed; allowed: "),
        ):
            if words:
                yield Forged(name, old, f'"client":"{client}"', f"client: {words}", number)
        batch = f'"batch_first_sequence":{number}'
        for value, words in (
            (number + 1, f"{number + 1} is not allowed; allowed: {number}, its own sequence, or"),
            (number - 2, f"{number - 2} is not allowed; allowed: {number}, its own sequence, or"),
            (1, f"1 is not allowed; allowed: {number}, its own sequence, or {number - 1}, as in"),
            (0, "0 is not allowed; allowed: int >= 1"),
            (-1, "-1 is not allowed; allowed: int >= 1"),
            (U64_BEYOND, f"{U64_BEYOND} is not allowed; allowed: int <= 9223372036854775807"),
        ):
            forged = f'"batch_first_sequence":{value}'
            yield Forged(name, batch, forged, f"batch_first_sequence: {words}", number)


def opened() -> Iterator[Forged]:
    yield from texts("log_opened", "log_id", LOG_ID, LOG_ID.upper(), LOG_ID[:-1], "")
    yield from texts("log_opened", "software_version", "0.1.0", "", "x" * 65, "a b")
    event = "log_opened"
    yield Forged(event, HASHER.key_id, ANOTHER_ID, f"key_id: '{ANOTHER_ID}' is not allowed")
    yield Forged(event, HASHER.key_id, "none", "key_id: 'none' is not allowed; allowed: ")
    yield Forged(event, '"epoch":1', '"epoch":2', "epoch: 2 is not allowed; allowed: 1")
    for name, version in (("format", 1), ("rules", 3)):
        old, new = (f'"{name}_version":{value}' for value in (version, version + 1))
        yield Forged(event, old, new, f"(are|is) version {version + 1}")
    yield from integers(event, "epoch", 1, "0", U64_BEYOND)


def settings() -> Iterator[Forged]:
    event = "settings_activated"
    yield from texts(event, "currency", "USD", "usd", "USDX", "")
    words = "currency: 'EUR' is not allowed; allowed: USD"
    yield Forged(event, '"currency":"USD"', '"currency":"EUR"', words, 30)
    yield from integers(event, "remembered_orders_max", 1_000_000, "0", str(10**7 + 1))
    window = "remembered_order_window_ns"
    yield from integers(event, window, 86_400_000_000_000, "0", str(31_536_001 * 10**9))
    words = f"{window}: 86400000000001 is not allowed; allowed: int that's a multiple of 1000000000"
    yield Forged(event, f'"{window}":86400000000000', f'"{window}":86400000000001', words)


def policy() -> Iterator[Forged]:
    event = "policy_activated"
    for field, said, beyond in (
        ("hard_risk_limit_bps", 9_600, "10001"),
        ("minimum_confidence_bps", 7_000, "10001"),
        ("risk_penalty_multiplier_bps", 4_000, "50001"),
        ("model_id", 10, str(2**32)),
        ("provider_id", 0, "64"),
        ("quality_bps", 9_900, "10001"),
        ("risk_ceiling_bps", 9_500, "10001"),
        ("enabled", 1, "2"),
        ("p95_latency_ms", 42, str(2**32)),
    ):
        low = "0" if field == "model_id" else "-1"
        yield from integers(event, field, said, low, beyond)
    for field, said in (
        ("policy_epoch", 7),
        ("catalog_epoch", 42),
        ("latency_penalty_microunits_per_ms", 4),
        ("capabilities", 0),
        ("region_mask", 2**64 - 1),
        ("input_cost_microunits_per_million_tokens", 8_200),
        ("output_cost_microunits_per_million_tokens", 14_000),
    ):
        yield from integers(event, field, said, "-1", None)
        beyond = f"{field} is ({U64_BEYOND}|[0-9]+)"
        yield Forged(event, f'"{field}":{said}', f'"{field}":{U64_BEYOND}', beyond)
        yield Forged(event, f'"{field}":{said}', f'"{field}":{HUGE}', beyond)
    yield Forged(event, '"model_id":20', '"model_id":10', "model_id 10 is a duplicate")
    yield Forged(event, '"quality_bps":9900', '"quality_bps":9901', "the policy's digest is")
    yield Forged(event, '"policy_digest_hex":"66', '"policy_digest_hex":"67', "recorded as 67")


def desks() -> Iterator[Forged]:
    yield from texts("desk_opened", "desk", "desk-alpha", "desk alpha", "", "d" * 33)
    event = "desk_opened"
    yield from integers(event, "budget_microcents", 200_000_000_000_000, "-1", str(2**63))
    yield from integers(event, "max_reserved_microcents", 150_000_000_000_000, "0", str(2**63))
    twice = '"desk":"desk-alpha"'
    yield Forged(event, '"desk":"desk-beta"', twice, "desk desk-alpha is opened twice")
    event, words = "desk_topped_up", "top-up of desk-beta: the ledger answers Overflow"
    amount = '"amount_microcents":5'
    yield from integers(event, "amount_microcents", 5, "0", str(2**63))
    yield Forged(event, amount, f'"amount_microcents":{2**63 - 1}', words)
    yield from integers("desk_capped", "max_reserved_microcents", 10**13, "0", str(2**63))
    for event in ("desk_topped_up", "desk_capped", "desk_resumed"):
        desk = "desk-alpha" if event == "desk_resumed" else "desk-beta"
        words = "top-up of nobody: .*MissingTenant|desk nobody was never opened"
        yield Forged(event, f'"desk":"{desk}"', '"desk":"nobody"', words)
        yield from texts(event, "desk", desk, "no body")
    event = "instrument_defined"
    for old, new in (
        ('"symbol":"AAPL"', '"symbol":"A A"'),
        ('"tick_size":"0.01"', '"tick_size":"0"'),
        ('"lot_size":"1"', '"lot_size":"1e9"'),
        ('"multiplier":"1"', '"multiplier":"-1"'),
    ):
        field, value = (part.strip('"') for part in new.split(":"))
        yield Forged(event, old, new, f"{field}: '{re.escape(value)}' is not allowed; allowed: ")


def disk() -> Iterator[Forged]:
    reason = "reason: 'disk_full' is not allowed; allowed: "
    yield Forged("halt", '"reason":"disk_low"', '"reason":"disk_full"', reason)
    yield from integers("halt", "reserve_bytes", 8, "-1", str(2**50 + 1))
    yield from integers("halt", "free_bytes", 7, "-1", str(2**63))
    yield from integers("resume", "free_bytes", 10, "-1", None)
    words = "free_bytes: an integer of 1[0-9]+ bits is not allowed; allowed: an integer to"
    for value in (str(2**128), HUGE):
        yield Forged("resume", '"free_bytes":10', f'"free_bytes":{value}', words)


def checkpoints() -> Iterator[Forged]:
    event, field = "checkpoint", '"checkpoint_sequence":38'
    for value, words in (
        (41, "41 is not allowed; allowed: from [0-9]+ to 40"),
        (10**6, "1000000 is not allowed; allowed: from [0-9]+ to 40"),
        (0, "0 is not allowed; allowed: int >= 1"),
    ):
        words = f"checkpoint_sequence: {words}"
        yield Forged(event, field, f'"checkpoint_sequence":{value}', words)
    words = "checkpoint_sequence: 28 is not allowed; allowed: from 29 to 40"
    yield Forged(event, field, '"checkpoint_sequence":28', words, is_whole=True)
    yield from texts(event, "checkpoint_hash", "12" * 32, "12" * 31, "XY" * 32, "genesis")
    yield from texts(event, "state_digest_hex", "34" * 32, "34" * 33, "3F" * 32)
    yield Forged(event, "038.ckpt", "039.ckpt", "file_name: '.*39.ckpt' is not allowed; allowed: ")
    yield from integers(event, "payload_bytes", 2_951_114, "-1", str(2**63))


def sessions() -> Iterator[Forged]:
    event = "session_started"
    for old, new, words in (
        ('"epoch":2', '"epoch":1', "epoch: 1 is not allowed; allowed: 2"),
        ('"epoch":2', '"epoch":3', "epoch: 3 is not allowed; allowed: 2"),
        ('"epoch":3', '"epoch":2', "epoch: 2 is not allowed; allowed: 3"),
        ('_sequence":28', '_sequence":29', "recovered_sequence: 29 is not allowed; allowed: 28"),
        ('_sequence":28', '_sequence":27', "recovered_sequence: 27 is not allowed; allowed: 28"),
        ('_sequence":28', f'_sequence":{HUGE}', "recovered_sequence: an integer of 1329 bits"),
        ('_stop":true', '_stop":false', "after_clean_stop: false is not allowed; allowed: True"),
        ('_stop":false', '_stop":true', "after_clean_stop: true is not allowed; allowed: False"),
        ('"batch_first_sequence":29', '"batch_first_sequence":28', "sequence: 28 is not allowed"),
        ('"batch_first_sequence":29', '"batch_first_sequence":30', "sequence: 30 is not allowed"),
        (f'"received_at_ns":{T0 + 3}', f'"received_at_ns":{T0 + 1}', "received_at_ns: .* is not"),
        ('"software_version":"9.9.9"', '"software_version":""', "software_version: '' is not"),
        ('point_sequence":38', 'point_sequence":42', "checkpoint_sequence: 42 is .* below 42"),
        ('point_sequence":38', 'point_sequence":0', "checkpoint_sequence: 0 is not allowed"),
        ('"offset":4096', '"offset":-1', r"cuts\[0\].offset: -1 is not allowed"),
        ('"offset":4096', '"offset":4097', r"cuts\[0\].copy_name: .* is not allowed; allowed: 0"),
        ('"bytes_cut":512', '"bytes_cut":-1', r"cuts\[0\].bytes_cut: -1 is not allowed"),
        ('_lost":29', '_lost":28', r"cuts\[0\].first_sequence_lost: 28 is not allowed; .*: 29"),
        (".cut-29-4096", ".cut-29-4095", r"cuts\[0\].copy_name: .* is not allowed; allowed: 0"),
        ('"segment":"00000001', '"segment":"00000002', r"cuts\[0\].copy_name: .* is not allowed"),
    ):
        yield Forged(event, old, new, words)
    (hash_of_before,) = HASH.findall(DAY.records[28])
    for value in ("ab" * 32, hash_of_before.decode()[:-1] + "x", ""):
        old = f'"recovered_hash":"{hash_of_before.decode()}"'
        yield Forged(event, old, f'"recovered_hash":"{value}"', "recovered_hash: '.*' is not allow")


def requests() -> Iterator[Forged]:
    """What a replay would find by deciding again, and a start has to find without."""
    for event, old, new, words in (
        ("order", '"client_order_id":"A-2"', '"client_order_id":"A 2"', "client_order_id: 'A 2'"),
        ("order", '"desk":"desk-alpha"', '"desk":"desk alpha"', "desk: 'desk alpha' is not"),
        ("order", '"currency":"USD","s', '"currency":"EUR","s', "currency: 'EUR' is not allowed"),
        ("order", '"symbol":"AAPL"', '"symbol":"A\\u0000"', r"symbol: 'A\\x00' is not allowed"),
        ("order", '"quantity":100', f'"quantity":{HUGE}', "quantity: an integer of 1329 bits"),
        ("order", '"quantity":100', '"quantity":0', "quantity: 0 is not allowed; allowed: int >="),
        ("order", ',"venue":10,"risk', ',"venue":-1,"risk', "venue: -1 is not allowed"),
        ("order", '"sent_at_ns":null}', '"sent_at_ns":null,"request_id":1}', "request_id: 1 is"),
        ("order", '"wal_sequence":8', '"wal_sequence":9', "answer.wal_sequence: 9 is .*owed: 8"),
        ("order", '"type":"admit","client_order_id":"A-1"',
         '"type":"admit","client_order_id":"A-9"', "answer.client_order_id: 'A-9' is .*: A-1"),
        ("order", '"repeat":false', '"repeat":true', "answer.repeat: true is not .*: false"),
        ("order", '"repeat":false', '"repeat":false,"desk":"desk-alpha"', "answer.desk: 'desk-al"),
        ("order", '"repeat":false', '"repeat":false,"received_at_ns":1', "answer.received_at_ns"),
        ("order_refused", '"repeat":false', '"repeat":false,"desk":"d"', "answer.desk: 'd' is"),
        ("order", '"venue":10,"subst', '"venue":0,"subst', "answer.venue: 0 is not allowed"),
        ("order", '"venue":10,"subst', f'"venue":{2**32},"subst', "answer.venue: 4294967296 is"),
        ("order", '"notional_microcents":1', '"notional_microcents":-1', "notional_microcents: -1"),
        ("order", '"fee_microcents":14001', f'"fee_microcents":{HUGE}', "answer.fee_microcents: "),
        ("order", '"reason":"requested_model_maximizes_utility"', '"reason":""', "answer.reason: "),
        ("order", '"asked":9600', '"asked":-1', "answer.detail.asked: -1 is not allowed"),
        ("order", '"limit":9600', f'"limit":{HUGE}', "answer.detail.limit: an integer of 1329"),
        ("order", '"stage":"kernel"', '"stage":"heaven"', "answer.stage: 'heaven' is not allowed"),
        ("order_refused", '"field":"side"', '"field":"mood"', "answer.field: 'mood' is not"),
        ("order_refused", '"wal_sequence":12', '"wal_sequence":13', "answer.wal_sequence: 13 is"),
        ("fill", '"fill_id":"F-1"', '"fill_id":"F 1"', "fill_id: 'F 1' is not allowed"),
        ("fill", '"wal_sequence":18', '"wal_sequence":17', "answer.wal_sequence: 17 is not allow"),
        ("fill", '"filled","desk":"desk-alpha"', '"filled","desk":"desk-beta"', "answer.desk: 'd"),
        ("fill", '"fill_id":"F-1","wal', '"fill_id":"F-7","wal', "answer.fill_id: 'F-7' is not"),
        ("fill", '"open_quantity":60', '"open_quantity":-1', "answer.open_quantity: -1 is not"),
        ("fill", '"released_microcents":7', '"released_microcents":-7', "released_microcents: -7"),
        ("fill", '"fee_microcents":5000,"unpaid', '"fee_microcents":5001,"unpaid', "answer.fee_m"),
        ("fill", '"unpaid_fee_microcents":0', '"unpaid_fee_microcents":5001', "unpaid_fee_microc"),
        ("fill", '"flags":[]', '"flags":["lucky"]', "answer.flags: 'lucky' is not allowed"),
        ("fill", '"repeat":false', '"repeat":true', "answer.repeat: true is not allowed"),
        ("release", '"client_order_id":"A-1"', '"client_order_id":"A-2"', "client_order_id: 'A-1'"),
        ("release", '"wal_sequence":24', '"wal_sequence":23', "answer.wal_sequence: 23 is not"),
        ("release", '"released","desk":"desk-alpha"', '"released","desk":"x"', "answer.desk: 'x'"),
    ):  # fmt: skip
        yield Forged(event, old, new, words)


def money() -> Iterator[Forged]:
    """What the ledger and the order before it say otherwise; a replay decides it again first."""
    for event, old, new, words in (
        ("order", '"reservation_id":1', '"reservation_id":2', "reservation 2, the ledger gave 1"),
        ("order", '"reservation_id":1', '"reservation_id":0', "reservation 0, the ledger gave 1"),
        ("order", '"reservation_id":1', f'"reservation_id":{HUGE}', "holds reservation "),
        ("fill", '"open_quantity":60', '"open_quantity":59', "leaves .* and 59 lots"),
        ("fill", '"hold_microcents":1', '"hold_microcents":2', "record 18 frees .* and leaves 2"),
        ("fill", '"released_microcents":7', '"released_microcents":8', "record 18 frees 8"),
        ("release", '"released_microcents":1', '"released_microcents":2', "releases 2[0-9]+ micro"),
    ):
        yield Forged(event, old, new, f"{words}|decided again it differs")


FORGED = [
    *heads(), *opened(), *settings(), *policy(), *desks(), *disk(), *checkpoints(), *sessions(),
    *requests(), *money(),
]  # fmt: skip


def checkpoint_of(directory: Path, records: list[bytes], count: int) -> CheckpointInfo:
    """The state after so many records, kept beside the log of them all."""
    entry_hash = "genesis"
    for data in records[:count]:
        entry_hash = HASHER.entry_hash(entry_hash, data)
    state = fold(records[:count]).state
    head, digest_hex = Head(count, entry_hash), state_digest_hex(state)
    return write_checkpoint(directory, head, digest_hex, encode_state(state), HASHER)


def name_of(forged: Forged) -> str:
    new = forged.new if len(forged.new) < 60 else f"{forged.new[:60]}..."
    return f"{forged.event} {forged.sequence()} {new}"


@pytest.mark.parametrize("forged", FORGED, ids=name_of)
def test_what_no_guard_writes_is_refused(forged: Forged, tmp_path: Path) -> None:
    records, sequence = forged.records(), forged.sequence()
    write_log(tmp_path, records)
    before = (tmp_path / SEGMENT).read_bytes()
    place = f"^{SEGMENT}, byte [0-9]+, record {sequence}: "
    beginnings: list[CheckpointInfo | None] = [None]
    if sequence > OPENING_RECORDS + 2 and not forged.is_whole:
        beginnings.append(checkpoint_of(tmp_path, records, sequence - 2))
    for beginning in beginnings:
        with pytest.raises(NotOurLogError, match=f"{place}.*(?:{forged.words})"):
            fold_log(tmp_path, HASHER, None, beginning)
        with pytest.raises(ReplayMismatch, match=f"{place}.*(?:{forged.words})"):
            replay_log(tmp_path, HASHER, beginning=beginning)
    with pytest.raises(NotOurLogError, match=f"{place}.*(?:{forged.words})"):
        recover_log(tmp_path, HASHER)
    assert (tmp_path / SEGMENT).read_bytes() == before


def test_the_day_itself_is_taken_from_every_checkpoint_on(tmp_path: Path) -> None:
    write_log(tmp_path, DAY.records)
    fold_log(tmp_path, HASHER)
    for count in range(OPENING_RECORDS, len(DAY.records)):
        info = checkpoint_of(tmp_path, DAY.records, count)
        assert fold_log(tmp_path, HASHER, None, info)[0].next_sequence == len(DAY.records) + 1
        replay_log(tmp_path, HASHER, beginning=info)


def test_a_session_that_was_closed_is_followed_by_a_start(tmp_path: Path) -> None:
    """Whatever else stands there, a row's order or an event, comes from no guard."""
    closed = DAY.records[27].replace(b":28,", b":9,").replace(b"3,", b"0,", 1)
    for following in (9, 12, 15, 30):
        data = re.sub(
            rb'"batch_first_sequence":\d+', b'"batch_first_sequence":9', DAY.records[following - 1]
        )
        records = [*DAY.records[:8], closed, data]
        directory = tmp_path / str(following)
        write_log(directory, records)
        words = "record 10: .*event: '[a-z_]+' is not allowed; allowed: session_started, behind"
        with pytest.raises(NotOurLogError, match=words):
            fold_log(directory, HASHER)
        with pytest.raises(ReplayMismatch, match=words):
            replay_log(directory, HASHER)


@pytest.mark.parametrize("missing", [1, 2])
def test_nothing_is_asked_of_a_guard_before_its_settings_and_policy(
    missing: int, tmp_path: Path
) -> None:
    for of in (8, 12, 18):
        records = [*DAY.records[:missing], *DAY.records[missing + 1 : 7]]
        data = re.sub(
            rb'"batch_first_sequence":\d+', b'"batch_first_sequence":7', DAY.records[of - 1]
        )
        directory = tmp_path / str(of)
        write_log(directory, [*records, data])
        words = "record 7: .*event: '[a-z]+' is not allowed; allowed: what a start logs, before"
        with pytest.raises(NotOurLogError, match=words):
            fold_log(directory, HASHER)
        with pytest.raises(ReplayMismatch, match=words):
            replay_log(directory, HASHER)


def test_a_batch_goes_on_over_a_checkpoint_and_ends_with_it(tmp_path: Path) -> None:
    """A checkpoint is of any record; the batch of the next one may have begun before it."""
    day = LoggedEngine()
    day.submit(order("A-1"))
    for number in range(2, 6):
        day.submit(order(f"A-{number}"), T0, 9)
    write_log(tmp_path, day.records)
    for count in range(OPENING_RECORDS, len(day.records)):
        info = checkpoint_of(tmp_path, day.records, count)
        assert fold_log(tmp_path, HASHER, None, info)[0].next_sequence == 13
        assert replay_log(tmp_path, HASHER, beginning=info).head.sequence == 12


def test_a_checkpoint_of_another_keys_log_is_passed_over(tmp_path: Path) -> None:
    """Whoever has the key can list one; the log alone then says what is."""
    records = changed(DAY.records, HASHER.key_id.encode(), ANOTHER_ID.encode())
    write_log(tmp_path, DAY.records)
    state = fold(records[:20]).state
    entry_hash = checkpoint_of(tmp_path, DAY.records, 20).head.entry_hash
    (tmp_path / "checkpoints.json").unlink()
    write_checkpoint(
        tmp_path, Head(20, entry_hash), state_digest_hex(state), encode_state(state), HASHER
    )
    recovered = recover_log(tmp_path, HASHER)
    recovered.lock.release()
    assert recovered.checkpoint is None
    (alarm,) = recovered.alarms
    assert f"key_id: '{ANOTHER_ID}' is not allowed; allowed: {HASHER.key_id}" in alarm


STATE_FIELDS = (
    ('"last_received_at_ns":1700000000000000001', f'"last_received_at_ns":{2**63 - 1}'),
    ('"last_received_at_ns":1700000000000000001', '"last_received_at_ns":-5'),
    ('"remembered_orders_max":1000000', '"remembered_orders_max":100000000'),
    ('"remembered_order_window_ns":86400000000000', '"remembered_order_window_ns":1'),
    ('"currency":"USD"', '"currency":"usd"'),
    ('"rules_version":3', '"rules_version":4'),
    ('"epoch":1', '"epoch":9223372036854775807'),
    ('"next_reservation_id":3', '"next_reservation_id":9223372036854775807'),
    ('"entries_halt":null', f'"entries_halt":["disk_low",{2**63},1]'),
    ('["desk-alpha",false,"0"]', '["desk alpha",false,"0"]'),
)


@pytest.mark.parametrize(("old", "new"), STATE_FIELDS)
def test_a_checkpoint_says_no_more_than_records_may(old: str, new: str, tmp_path: Path) -> None:
    write_log(tmp_path, DAY.records)
    info = checkpoint_of(tmp_path, DAY.records, 20)
    payload = info.path.read_bytes()
    head_at = len(PAYLOAD_TAG) + 16 + 4
    head_bytes = int.from_bytes(payload[head_at - 4 : head_at], "little")
    head = payload[head_at : head_at + head_bytes]
    assert old.encode() in head
    forged = head.replace(old.encode(), new.encode())
    pieces = [
        payload[: head_at - 4] + len(forged).to_bytes(4, "little") + forged,
        payload[head_at + head_bytes :],
    ]
    (tmp_path / "checkpoints.json").unlink()
    write_checkpoint(tmp_path, info.head.head, info.head.state_digest_hex, iter(pieces), HASHER)
    recovered = recover_log(tmp_path, HASHER)
    recovered.lock.release()
    assert recovered.checkpoint is None
    field = new.split(":")[0].strip('"') if ":" in new else r"desks\[0\]\[0\]"
    (alarm,) = recovered.alarms
    assert re.search(rf"{field}(\[1\])?: .* is not allowed; allowed: ", alarm), alarm


@pytest.mark.slow
def test_a_start_says_where_and_what_and_ends_with_1(tmp_path: Path) -> None:
    site = Site(tmp_path, key=KEY)
    for value, allowed in ((HUGE, "int <= 9223372036854775806"), (str(T0 - 1), f"from {T0}, of")):
        records = changed(
            DAY.records, f'"received_at_ns":{T0 + 1}'.encode(), f'"received_at_ns":{value}'.encode()
        )
        shutil.rmtree(site.log, ignore_errors=True)
        write_log(site.log, records)
        done = site.refused()
        assert (done.returncode, done.stdout) == (1, ""), done
        *_, line = done.stderr.splitlines()  # interpreted, one before it says so
        assert line.startswith(f"pretrade-guard: {SEGMENT}, byte ")
        assert "record 15: " in line
        assert re.search(f"received_at_ns: .* is not allowed; allowed: {re.escape(allowed)}", line)
