"""Whatever stands in a field of a record: a start refuses it, or goes on and serves.

Records that a guard could have written, but for one field that anything was put into, by whoever
has the key. Where a start takes them, the state that they lead to must answer requests of every
kind and be written to a checkpoint, and its ledger must add up: what a start took may end nothing.
"""

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from form_support import played
from guard.engine.engine import Engine
from guard.protocol.messages import Request
from guard.protocol.outcome import Outcome
from guard.record.applying import RecordFolder
from guard.recovery.checkpoint_payload import decode_state, encode_state, state_digest_hex
from guard_day_support import trading_day
from guard_support import (
    KEY,
    T0,
    cancel,
    check_conservation,
    fields_of,
    fill,
    order,
    settled,
    status,
)
from kernel import InvariantError
from wal import GENESIS, ChainHasher

HASHER = ChainHasher(KEY)
RECORDS = trading_day().records
FORGERIES = played(600)  # for each of the seeds
VALUES: tuple[Any, ...] = (
    0, 1, 2, -1, 2**31, 2**32, 2**62, 2**63 - 2, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 10**400,
    True, None, "", "x", "A-1", "desk-beta", "é", "a" * 2_000, [], {}, 1.5,
)  # fmt: skip


def requests() -> list[Request]:
    return [
        order("Z-1"),
        order("Z-2", desk="desk-beta", quantity=2**32 - 1, price=2**40),
        order("Z-3", sent_at_ns=T0 + 10),
        order("A-1"),
        order("A-3", risk_bps=9_600),
        fill("F-1"),
        fill("F-77"),
        fill("F-1", client_order_id="X-1", quantity=1),
        fill("F-9", client_order_id="Q", fee=10**15),
        fill("F-8", 100, client_order_id="A-11", desk="desk-gamma"),
        cancel("A-1"),
        cancel("Z-1"),
        status("A-1"),
        status("A-2"),
    ]


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict):
        for key in value:
            yield from leaves(value[key], (*path, key))
    elif isinstance(value, list):
        yield path
        for index, item in enumerate(value):
            yield from leaves(item, (*path, index))
    else:
        yield path


def forged(data: bytes, path: tuple[Any, ...], value: Any) -> bytes:
    record = json.loads(data)
    place = record
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return json.dumps(record, separators=(",", ":")).encode()


def started(records: list[bytes]) -> Engine:
    """As a start folds them, without the files."""
    engine = Engine()
    folder, previous = RecordFolder(engine, HASHER.key_id), GENESIS
    for sequence, data in enumerate(records, 1):
        folder.apply(sequence, folder.read(sequence, data, previous))
        previous = HASHER.entry_hash(previous, data)
    return engine


def serve(engine: Engine) -> None:
    for request in requests():
        now_ns = max(T0 + 10, engine.state.last_received_at_ns)
        fields, outcome = fields_of(request, now_ns), Outcome()
        if engine.decide(fields, outcome):
            engine.apply(fields, outcome)
    payload = b"".join(encode_state(engine.state))

    def read(count: int) -> bytes:
        nonlocal payload
        piece, payload = payload[:count], payload[count:]
        return piece

    assert state_digest_hex(decode_state(read)) == state_digest_hex(engine.state)
    check_conservation(engine.state)


@pytest.mark.parametrize("seed", range(4))
def test_what_a_start_takes_ends_nothing(seed: int) -> None:
    chance = random.Random(seed)
    places = [
        (index, path)
        for index, data in enumerate(RECORDS)
        for path in leaves(json.loads(data))
        if not data.startswith(b'{"audit"') or path[0] == "metadata"
    ]
    taken = refused = 0
    for _ in range(FORGERIES):
        index, path = chance.choice(places)
        value = chance.choice(VALUES)
        data = forged(RECORDS[index], path, value)
        try:
            engine = started(settled([*RECORDS[:index], data, *RECORDS[index + 1 :]]))
        except (InvariantError, ValueError, LookupError):  # as `fold_log` takes them
            refused += 1
            continue
        taken += 1
        try:
            serve(engine)
        except Exception as error:
            raise AssertionError(f"record {index + 1}, {path}, {value!r}: {error}") from error
    assert taken > FORGERIES // 50
    assert refused > FORGERIES // 2
