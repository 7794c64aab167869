"""The audited log: fail-closed appends, sync policies, recovery; the wheel replays its file."""

import asyncio
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import calybris._core as wheel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.audit.audited_log import (
    EVERY_BATCH,
    MANUAL,
    AsyncAuditedLog,
    AuditedDecision,
    AuditedLog,
    SyncPolicy,
    every_records,
)
from guard.audit.record_writer import MetadataError
from kernel import KernelInputError, ReplayMismatchError
from kernel_support import policies, requests
from library_support import LIVE, policy_of, request_of, wheel_case, wheel_input, wheel_policy
from wal import (
    Head,
    WalDamage,
    WalInputError,
    WalKeyMismatch,
    WalLocked,
    WalPoisoned,
    anchor_of,
    encode_anchor,
    read_anchor,
    write_anchor,
)

KEY = b"k" * 32
SEGMENT = "00000001.jsonl"
GUARD_LOG = Path(__file__).parent.parent.parent / "data" / "logs" / "v1"
POLICY = policy_of()
METADATA = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abé\n", max_size=3), inner)
    ),
    max_leaves=8,
)


def item(sequence: int, metadata: Any = None) -> AuditedDecision:
    request = request_of(sequence)
    return AuditedDecision(POLICY, request, POLICY.prescribe(request), metadata)


def write(directory: Path, count: int, key: bytes | None = KEY) -> None:
    with AuditedLog.open(directory, key) as log:
        for sequence in range(1, count + 1):
            log.append_verified_audited(*item(sequence, {"order": sequence}))


@LIVE
@given(data=st.data(), keyed=st.booleans())
def test_the_file_is_the_wheels_to_the_byte(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, keyed: bool
) -> None:
    directory = tmp_path_factory.mktemp("log")
    key = KEY if keyed else None
    policy = data.draw(policies(ceilings=True))
    their_policy = wheel_policy(policy)
    theirs = wheel.AuditedWal(directory / "theirs", hmac_key=key)
    with AuditedLog.open(directory / "ours", key) as log:
        for _ in range(data.draw(st.integers(1, 4))):
            request = data.draw(requests(policy, ceilings=True))
            metadata = data.draw(METADATA)
            entry = log.append_verified_audited(
                policy, request, policy.prescribe(request), metadata
            )
            their_input = wheel_input(request)
            their_entry = theirs.append_verified(
                their_policy, their_input, their_policy.prescribe(their_input), json.dumps(metadata)
            )
            assert entry._asdict() == their_entry.as_dict()
        log.sync()
        write_anchor(directory / "anchor", log.anchor())
    theirs.flush_and_sync()
    theirs.close()
    ours = directory / "ours" / SEGMENT
    assert ours.read_bytes() == (directory / "theirs").read_bytes()
    replayed = wheel.replay_verify_audited_wal(ours, their_policy, hmac_key=key)
    assert len(replayed) == entry.sequence
    anchor = wheel.WalAnchor.load(directory / "anchor")
    assert wheel.verify_audited_wal(ours, hmac_key=key, anchor=anchor) == (
        entry.sequence,
        entry.entry_hash,
    )


def test_a_decision_that_does_not_replay_is_not_appended(tmp_path: Path) -> None:
    with AuditedLog.open(tmp_path / "log", KEY) as log:
        log.append_verified_audited(*item(1))
        before = log.staged_head
        for bad in (
            item(1)._replace(decision=POLICY.prescribe(request_of(2))),
            item(1)._replace(policy=policy_of(9)),
        ):
            with pytest.raises(ReplayMismatchError, match=r"decision . does not replay"):
                log.append_verified_audited(*bad)
        assert log.staged_head == before
        assert log.append_verified_audited(*item(2)).sequence == 2
    assert len((tmp_path / "log" / SEGMENT).read_bytes().splitlines()) == 2


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (1.5, r"metadata is 1.5; must be an object, a list, text, an integer"),
        ({"a": {"b": float("nan")}}, r"metadata.a.b is nan"),
        ({"a": 2**64}, r"metadata.a is 18446744073709551616; must be from"),
        ([-(2**63) - 1], r"metadata\[\] is -9223372036854775809"),
        ({5: 1}, r"a name in metadata is 5; must be text"),
        ("\ud800", r"metadata is .*; must be text in UTF-8"),
        (b"bytes", r"metadata is b'bytes'"),
        ({"deep": None}, r"nested deeper than 64"),
        ({"long": "x" * (17 * 1024 * 1024)}, r"metadata makes a record of .* at most 16777216"),
    ],
)
def test_metadata_that_no_record_holds(tmp_path: Path, metadata: Any, message: str) -> None:
    if metadata == {"deep": None}:
        for _ in range(65):
            metadata = [metadata]
    with AuditedLog.open(tmp_path / "log", None) as log:
        with pytest.raises(MetadataError, match=message):
            log.append_verified_audited(*item(1, metadata))
        assert log.staged_head.sequence == 0


def test_it_goes_on_where_it_was(tmp_path: Path) -> None:
    write(tmp_path / "log", 3)
    with AuditedLog.open(tmp_path / "log", KEY) as log:
        assert log.durable_head.sequence == 3
        assert log.cut is None
        log.append_verified_audited(*item(4))
        assert (log.unsynced_count, log.anchor().sequence) == (1, 3)
        assert log.sync().sequence == 4
        assert (log.unsynced_count, log.anchor().sequence) == (0, 4)
        with pytest.raises(WalLocked):
            AuditedLog.open(tmp_path / "log", KEY)
    replayed = wheel.replay_verify_audited_wal(
        tmp_path / "log" / SEGMENT, wheel_policy(POLICY), hmac_key=KEY
    )
    assert [each["sequence"] for each in replayed] == [1, 2, 3, 4]


def test_the_wheels_file_is_gone_on_with(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    policy, request, decision = wheel_case(POLICY, request_of(1))
    theirs = wheel.AuditedWal(tmp_path / "log" / SEGMENT, hmac_key=KEY)
    theirs.append_verified(policy, request, decision, "null")
    theirs.close()
    with AuditedLog.open(tmp_path / "log", KEY) as log:
        assert log.append_verified_audited(*item(2)).sequence == 2
    assert len(wheel.replay_verify_audited_wal(tmp_path / "log" / SEGMENT, policy, hmac_key=KEY))


def test_a_torn_end_is_cut_and_kept(tmp_path: Path) -> None:
    write(tmp_path / "log", 3)
    path = tmp_path / "log" / SEGMENT
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    with AuditedLog.open(tmp_path / "log", KEY) as log:
        assert log.durable_head.sequence == 2
        assert log.cut is not None
        assert (log.cut.first_sequence_lost, log.cut.segment) == (3, SEGMENT)
        assert log.append_verified_audited(*item(3, {"order": 3})).sequence == 3
        copy = tmp_path / "log" / log.cut.copy_name
    assert path.read_bytes() == whole
    assert whole.endswith(copy.read_bytes() + whole[-40:])


def test_other_damage_and_other_keys_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "log", 3)
    path = tmp_path / "log" / SEGMENT
    whole = path.read_bytes()
    with AuditedLog.open(tmp_path / "log", KEY) as log:
        anchor = log.anchor()
    with pytest.raises(WalKeyMismatch):
        AuditedLog.open(tmp_path / "log", b"x" * 32)
    with pytest.raises(WalInputError, match="at least 32 bytes"):
        AuditedLog.open(tmp_path / "log", b"x")
    path.write_bytes(whole.replace(b'"order":2', b'"order":9'))
    with pytest.raises(WalDamage, match="record 2"):
        AuditedLog.open(tmp_path / "log", KEY)
    path.write_bytes(b"".join(whole.splitlines(keepends=True)[:2]))
    with pytest.raises(WalDamage, match="ends before its anchor, which is at record 3"):
        AuditedLog.open(tmp_path / "log", KEY, anchor=anchor)
    path.write_bytes(whole)
    AuditedLog.open(tmp_path / "log", KEY, anchor=anchor).close()


def test_the_guards_own_log_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / SEGMENT
    torn = (GUARD_LOG / "one-segment" / SEGMENT).read_bytes()[:-10]
    path.write_bytes(torn)
    with pytest.raises(WalInputError, match="holds the guard's own log: the guard alone writes it"):
        AuditedLog.open(tmp_path, (GUARD_LOG / "key").read_bytes())
    assert path.read_bytes() == torn


def test_what_was_not_synced_is_dropped_only_when_asked_for(tmp_path: Path) -> None:
    log = AuditedLog.open(tmp_path / "log", KEY)
    log.append_verified_audited(*item(1))
    log.close(sync=False)
    log.close()

    def fail_with_a_record_staged() -> None:
        with AuditedLog.open(tmp_path / "log", KEY) as log:
            assert log.durable_head.sequence == 0
            log.append_verified_audited(*item(1))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_with_a_record_staged()
    write(tmp_path / "log", 2)
    with AuditedLog.open(tmp_path / "log", KEY) as log:
        assert log.durable_head.sequence == 2


def test_a_failed_sync_is_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(5, "no such luck")

    log = AuditedLog.open(tmp_path / "log", KEY)
    log.append_verified_audited(*item(1))
    monkeypatch.setattr(os, "fdatasync", fail)
    with pytest.raises(WalPoisoned, match="fdatasync"):
        log.sync()
    monkeypatch.undo()
    with pytest.raises(WalPoisoned):
        log.append_verified_audited(*item(2))
    log.close()
    with AuditedLog.open(tmp_path / "log", KEY) as log:  # the truth is what is on the disk
        assert log.durable_head.sequence == 1


@pytest.mark.parametrize("kind", [AuditedLog, AsyncAuditedLog])
def test_a_log_that_must_be_there_is_not_begun(kind: Any, tmp_path: Path) -> None:
    for is_empty in (False, True):
        with pytest.raises(WalInputError, match="holds no log, and one must be there"):
            kind.open(tmp_path / "log", KEY, must_exist=True)
        assert (tmp_path / "log").exists() == is_empty
        (tmp_path / "log").mkdir(exist_ok=True)
    assert list((tmp_path / "log").iterdir()) == []
    with AuditedLog.open(tmp_path / "log", KEY) as log:
        log.append_verified_audited(*item(1))
    with AuditedLog.open(tmp_path / "log", KEY, must_exist=True) as log:
        assert log.durable_head.sequence == 1


async def test_every_batch_an_append_returns_once_it_is_durable(tmp_path: Path) -> None:
    async with AsyncAuditedLog.open(tmp_path / "log", KEY) as log:
        entry = await log.append_verified_audited(*item(1))
        assert log.durable_head.sequence == entry.sequence == 1
        entries = await asyncio.gather(
            *(log.append_verified_audited(*item(sequence)) for sequence in range(2, 30))
        )
        assert [entry.sequence for entry in entries] == list(range(2, 30))
        assert log.durable_head.sequence == 29
        assert log._writer.sync_count <= 3  # all that waited shared a sync
    assert len((tmp_path / "log" / SEGMENT).read_bytes().splitlines()) == 29


async def test_every_so_many_records(tmp_path: Path) -> None:
    async with AsyncAuditedLog.open(tmp_path / "log", sync_policy=every_records(3)) as log:
        durable = []
        for sequence in range(1, 8):
            await log.append_verified_audited(*item(sequence))
            durable.append(log.durable_head.sequence)
        assert durable == [0, 0, 3, 3, 3, 6, 6]
        assert log.unsynced_count == 1
    async with AsyncAuditedLog.open(tmp_path / "log") as log:
        assert log.durable_head.sequence == 7


async def test_only_when_told_to(tmp_path: Path) -> None:
    async with AsyncAuditedLog.open(tmp_path / "log", sync_policy=MANUAL) as log:
        await log.append_batch(item(sequence) for sequence in range(1, 6))
        assert log.durable_head.sequence == 0
        assert (await log.sync()).sequence == 5
        await log.append_verified_audited(*item(6))
        await log.close(sync=False)
    async with AsyncAuditedLog.open(tmp_path / "log", sync_policy=EVERY_BATCH) as log:
        assert log.durable_head.sequence == 5


async def test_a_failed_sync_off_the_loop_is_the_last(tmp_path: Path) -> None:
    log = AsyncAuditedLog.open(tmp_path / "log", KEY)
    await log.append_verified_audited(*item(1))
    # In the segment's place what takes the write, and cannot be synced.
    links = {int(name): Path("/proc/self/fd", name) for name in os.listdir("/proc/self/fd")}
    (segment,) = (
        number
        for number, link in links.items()
        if link.is_symlink() and str(link.readlink()).startswith(f"{tmp_path}/log/0")
    )
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, segment)
    waiting = [
        asyncio.ensure_future(log.append_verified_audited(*item(sequence))) for sequence in (2, 3)
    ]
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [WalPoisoned, WalPoisoned]
    assert {outcome.stage for outcome in outcomes if isinstance(outcome, WalPoisoned)} == {
        "fdatasync"
    }
    os.close(nothing)
    with pytest.raises(WalPoisoned):
        await log.append_verified_audited(*item(4))
    assert log.durable_head.sequence == 1
    await log.close()


async def test_a_caller_that_gives_up_leaves_the_log_whole(tmp_path: Path) -> None:
    async with AsyncAuditedLog.open(tmp_path / "log", KEY) as log:
        waiting = asyncio.ensure_future(log.append_verified_audited(*item(1)))
        await asyncio.sleep(0)
        waiting.cancel()
        with suppress(asyncio.CancelledError):  # the sync may have been done at once
            await waiting
        entry = await log.append_verified_audited(*item(2))
        assert (entry.sequence, log.durable_head.sequence) == (2, 2)


@LIVE
@given(sequence=st.integers(1, 2**64 - 1), digest=st.binary(min_size=32, max_size=32))
def test_anchors_go_both_ways(
    tmp_path_factory: pytest.TempPathFactory, sequence: int, digest: bytes
) -> None:
    directory = tmp_path_factory.mktemp("anchors")
    for keyed in (True, False):
        anchor = anchor_of(Head(sequence, digest.hex()), keyed)
        write_anchor(directory / "ours", anchor)
        theirs = wheel.WalAnchor.load(directory / "ours")
        assert theirs.as_dict() == json.loads(encode_anchor(anchor))
        theirs.save(directory / "theirs")
        assert read_anchor(directory / "theirs") == anchor


async def test_a_batch_is_appended_whole_or_not_at_all(tmp_path: Path) -> None:
    async with AsyncAuditedLog.open(tmp_path / "log", KEY) as log:
        bad = item(2)._replace(decision=POLICY.prescribe(request_of(9)))
        with pytest.raises(ReplayMismatchError):
            await log.append_batch([item(1), bad])
        large = item(1, "x" * (15 * 1024 * 1024))
        with pytest.raises(WalInputError, match="a batch has at most 67108864 bytes: sync first"):
            await log.append_batch([large] * 5)
        assert log.staged_head.sequence == 0
        entries = await log.append_batch([item(1), item(2)])
        assert [entry.sequence for entry in entries] == [1, 2]
        assert log.durable_head.sequence == 2


@pytest.mark.parametrize("count", [0, -1, 1_000_001, True, 2.0, "5"])
def test_a_sync_policy_of_bad_values(count: Any) -> None:
    with pytest.raises(WalInputError, match=r"every_records is .*; must be from 1 to 1000000"):
        SyncPolicy(count)


def test_metadata_error_is_bad_input() -> None:
    assert issubclass(MetadataError, KernelInputError)
