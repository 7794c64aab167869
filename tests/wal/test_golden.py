"""Chains of older logs still open: `tests/data/logs/v1`, checked in and never made again.

The promise held here is the log layer's alone: chain, segments, anchor, checkpoints around opaque
payloads. `one-segment` is what a daemon wrote before format version 1 was settled, though it names
it: a session that was killed, two that were stopped. Record 18 has a field `cut` that became
`cuts`, so today's guard refuses to replay it. What the guard itself promises to read is `v1/guard`
(`tests/guard/replay/test_golden.py`).

`segments` holds the same records, rotated, with two checkpoints. `key` is the key of both,
`anchor.json` their anchor. A change of the format adds a directory beside these and breaks none.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import calybris
import pytest

from wal import (
    ChainHasher,
    Dialect,
    Head,
    LogWriter,
    archive_segments,
    list_segments,
    open_checkpoint,
    open_for_recovery,
    plan_repair,
    read_anchor,
    read_checkpoints,
    read_entries,
    rewrite_tail,
    verify_chain,
)
from wal_support import fake_clock

GOLDEN = Path(__file__).parent.parent / "data" / "logs" / "v1"
KEY = (GOLDEN / "key").read_bytes()
HASHER = ChainHasher(KEY)
HEAD = Head(26, "a8942b1e3f4473ac5c768e077573d889d3347dcf8d41aa1b61579e0c5dba53b9")
NAMES = ["one-segment", "segments"]


def event(data: bytes) -> dict[str, Any]:
    """The guard's event in a record; that of a decision record stands in its metadata."""
    try:
        value = json.loads(data)
    except ValueError:
        return {}
    found = value.get("metadata", value)
    assert isinstance(found, dict)
    return found


DIALECT = Dialect(
    is_native_head=lambda data: event(data).get("event") == "log_opened",
    batch_first_sequence=lambda data: event(data).get("batch_first_sequence"),
    is_clean_close=lambda data: event(data).get("event") == "session_closed",
    named_key_id=lambda data: event(data).get("key_id"),
)


@pytest.fixture(params=NAMES)
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of a golden log, to be opened as a start does."""
    return Path(shutil.copytree(GOLDEN / request.param, tmp_path / "log"))


@pytest.mark.parametrize("name", NAMES)
def test_it_verifies_as_it_was_written(name: str) -> None:
    anchor = read_anchor(GOLDEN / "anchor.json")
    report = verify_chain(GOLDEN / name, HASHER, DIALECT, anchor)
    assert (report.head, report.record_count) == (HEAD, 26)
    assert (report.native, report.closed_cleanly) == (True, True)
    assert report.segment_count == len(list_segments(GOLDEN / name))
    first = next(read_entries(GOLDEN / name, HASHER, DIALECT))
    assert event(first.data)["format_version"] == 1
    assert event(first.data)["key_id"] == HASHER.key_id


def test_segments_are_the_same_log(tmp_path: Path) -> None:
    whole = (GOLDEN / "one-segment" / "00000001.jsonl").read_bytes()
    parts = [path.read_bytes() for path in list_segments(GOLDEN / "segments")]
    assert (len(parts), b"".join(parts)) == (4, whole)
    (tmp_path / "log").write_bytes(whole)
    assert calybris.verify_audited_wal(tmp_path / "log", hmac_key=KEY) == HEAD


def test_it_opens_and_goes_on(log: Path) -> None:
    with open_for_recovery(log) as lock:
        assert plan_repair(log, HASHER, DIALECT) is None
        head = verify_chain(log, HASHER, DIALECT).head
        assert rewrite_tail(log, head, HASHER, DIALECT) is not None
        with LogWriter.open(
            log, HASHER, head, monotonic_ns=fake_clock(), lock=lock, fresh_segment=True
        ) as writer:
            writer.append(27, b'{"event":"session_started","batch_first_sequence":27}')
            after = writer.sync_now()
    assert verify_chain(log, HASHER, DIALECT).head == after


def test_its_checkpoints_are_good(tmp_path: Path) -> None:
    log = Path(shutil.copytree(GOLDEN / "segments", tmp_path / "log"))
    infos = read_checkpoints(log, HASHER)
    assert [(info.head.sequence, info.problem) for info in infos] == [(26, None), (23, None)]
    assert infos[0].head.head == HEAD
    archive_segments(log, tmp_path / "old", 23)
    for info in infos:
        sequence = info.head.sequence
        with open_checkpoint(info) as reader:
            assert reader.read(100) == b"opaque to the log: state after record %d\n" % sequence
        rest = read_entries(log, HASHER, DIALECT, info.head.head)
        assert [entry.sequence for entry in rest] == list(range(sequence + 1, 27))
