"""Logs that were written under several keys: plain ones that were exchanged, and evolving ones."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from wal import (
    EMPTY_HEAD,
    ChainHasher,
    CheckpointHead,
    EvolvingKey,
    Follower,
    Head,
    KeyChange,
    KeyRing,
    LogWriter,
    RingHasher,
    WalDamage,
    WalKeyMismatch,
    apply_repair,
    authenticate_anew,
    current_key,
    open_for_recovery,
    plan_repair,
    read_checkpoints,
    read_entries,
    rewrite_tail,
    seal_of,
    segment_name,
    verify_chain,
    write_checkpoint,
)
from wal.keyring import KeyStepError, check_step
from wal_support import DIALECT, KEY, fake_clock, record

OLD, NEW, NEWER = (bytes([number]) * 32 for number in (1, 2, 3))
ROOT = bytes(range(32))


def key_change(data: bytes) -> KeyChange | None:
    try:
        value = json.loads(data)
    except ValueError:
        return None
    said = value.get("key") if isinstance(value, dict) else None
    return KeyChange(*said) if said is not None else None


KEYED = replace(DIALECT, key_change=key_change)


def evolving(number: int = 0) -> EvolvingKey:
    key = EvolvingKey(0, ROOT)
    while key.number < number:
        key = key.next()
    return key


def root_ring(*plain: bytes) -> KeyRing:
    return KeyRing(plain, evolving())


def write(
    log: Path, keys: Sequence[RingHasher], count: int = 3, is_scattered: bool = False
) -> list[Head]:
    """A log of `count` records under each of `keys`; the head after each.

    In a segment for each key, or, `is_scattered`, for each record.
    """
    log.mkdir(exist_ok=True)
    heads = []
    head = EMPTY_HEAD
    for before, hasher in pairwise([None, *keys]):
        assert hasher is not None
        head = write_segment(log, before, hasher, head, count, is_scattered)
        heads.append(head)
    return heads


def write_segment(
    log: Path,
    before: RingHasher | None,
    hasher: RingHasher,
    head: Head,
    count: int = 3,
    is_scattered: bool = False,
) -> Head:
    sealed = seal_of(last(log)) if before is not None else (0, "")
    change = hasher.change(before, sealed)
    with LogWriter.open(log, hasher, head, monotonic_ns=fake_clock(), fresh_segment=True) as writer:
        first = head.sequence + 1
        kind = "log_opened" if before is None else "order"
        writer.append(first, record(kind, first, key=change))
        for sequence in range(first + 1, first + count):
            if is_scattered:
                writer.sync_now()
                writer.rotate()
            writer.append(sequence, record("order", first, text="x" * 300))
        return writer.sync_now()


def last(log: Path) -> Path:
    return sorted(log.glob("*.jsonl"))[-1]


def rotated(log: Path) -> list[Head]:
    """One segment under the old key, one under the new one."""
    new, old = KeyRing([NEW, OLD]).plain
    return write(log, [old, new])


def evolved(log: Path, count: int = 4, records: int = 3) -> list[Head]:
    """A segment under a plain key, and then one under each evolving one."""
    ring = root_ring(OLD)
    keys = [ring.plain[0], *(at(ring, number) for number in range(1, count))]
    return write(log, keys, records)


def at(ring: KeyRing, number: int) -> RingHasher:
    return RingHasher(ring.evolving_at(number).chain_key(), ring, number)


def count_of(source: Path, hasher: ChainHasher, jobs: int = 1) -> int:
    return verify_chain(source, hasher, KEYED, jobs=jobs).record_count


@pytest.mark.parametrize("jobs", [1, 2])
def test_old_segments_verify_under_old_keys(tmp_path: Path, jobs: int) -> None:
    new, older, old = KeyRing([NEWER, NEW, OLD]).plain
    heads = write(tmp_path, [old, older, new], is_scattered=True)
    for keys in ([NEWER, NEW, OLD], [NEW, OLD, NEWER]):
        assert count_of(tmp_path, KeyRing(keys).newest, jobs) == 9
    for start in heads:
        assert list(read_entries(tmp_path, new, KEYED, start))[-1:] != [] or start == heads[-1]
    with pytest.raises(WalKeyMismatch, match=old.key_id):
        count_of(tmp_path, KeyRing([NEWER, NEW]).newest, jobs)
    with pytest.raises(WalKeyMismatch, match=new.key_id):
        count_of(tmp_path, KeyRing([NEW, OLD]).newest, jobs)
    with pytest.raises(WalKeyMismatch, match=older.key_id):
        count_of(tmp_path, ChainHasher(OLD), jobs)
    with pytest.raises(WalKeyMismatch):
        count_of(tmp_path, ChainHasher(NEWER), jobs)


def test_a_record_of_an_old_segment_under_the_new_key_is_damage(tmp_path: Path) -> None:
    """Who has the new key alone cannot write what stood before it."""
    rotated(tmp_path)
    forged = tmp_path / "forged"
    write(forged, [KeyRing([NEW]).newest])
    shutil.copy(forged / segment_name(1), tmp_path / segment_name(1))
    with pytest.raises(WalDamage):
        count_of(tmp_path, KeyRing([NEW, OLD]).newest)


def test_the_key_in_force_is_that_of_the_last_record(tmp_path: Path) -> None:
    newest = KeyRing([NEW, OLD]).newest
    assert current_key(tmp_path / "none", newest, key_change) is newest
    rotated(tmp_path)
    assert current_key(tmp_path, newest, key_change).key_id == newest.key_id
    (tmp_path / segment_name(2)).write_bytes(b"")
    assert current_key(tmp_path, newest, key_change).key_id == ChainHasher(OLD).key_id


@pytest.mark.parametrize("with_hole", [False, True])
def test_a_rotation_cut_at_any_byte_leaves_a_log_that_goes_on(
    tmp_path: Path, with_hole: bool
) -> None:
    """Its first batch is whole, or cut; and the next start rotates, if it has not been done."""
    whole = tmp_path / "whole"
    heads = rotated(whole)
    content = (whole / segment_name(2)).read_bytes()
    step = 512 if with_hole else 43
    for end in [*range(0, len(content), step), len(content) - 1, len(content)]:
        log = tmp_path / "log"
        shutil.rmtree(log, ignore_errors=True)
        shutil.copytree(whole, log)
        # A sector that was never written, or nothing behind it.
        hole = bytes(min(512, len(content) - end)) if with_hole else b""
        rest = content[end + len(hole) :] if with_hole else b""
        (log / segment_name(2)).write_bytes(content[:end] + hole + rest)
        ring = KeyRing([NEW, OLD])
        hasher = current_key(log, ring.newest, key_change)
        with open_for_recovery(log):
            cut = plan_repair(log, hasher, KEYED, heads[0].sequence)
            if cut is not None:
                apply_repair(log, cut)
            head = verify_chain(log, hasher, KEYED).head
            assert heads[0].sequence <= head.sequence
            hasher = current_key(log, ring.newest, key_change)
            rewrite_tail(log, head, hasher, KEYED)
        following = ring.following(hasher)
        assert (following is None) == (head.sequence > heads[0].sequence), end
        if following is not None:
            if not last(log).stat().st_size:
                last(log).unlink()
            head = write_segment(log, hasher, following, head)
        assert current_key(log, ring.newest, key_change).key_id == ring.newest.key_id
        assert count_of(log, ring.newest) == head.sequence


def test_the_manifest_is_read_under_the_key_that_is_to_follow(tmp_path: Path) -> None:
    """It is made anew before the first record under that key: no crash lies between."""
    new, old = KeyRing([NEW, OLD]).plain
    head = write(tmp_path, [old])[0]
    write_checkpoint(tmp_path, head, "ab" * 32, iter([b"state"]), old)
    authenticate_anew(tmp_path, old, new)
    for hasher in (old, new):
        assert [info.problem for info in read_checkpoints(tmp_path, hasher)] == [None]
    assert [info.problem for info in read_checkpoints(tmp_path, ChainHasher(OLD))] != [None]
    # And once the log is under the new key, who has the old one cannot plant a checkpoint.
    write_segment(tmp_path, old, new, head)
    forged = CheckpointHead(head.sequence, head.entry_hash, "cd" * 32, 5, "ab" * 32)
    from wal.manifest import write_manifest

    write_manifest(tmp_path, [forged], ChainHasher(OLD))
    now = current_key(tmp_path, new, key_change)
    assert [info.problem for info in read_checkpoints(tmp_path, now)] != [None]


@pytest.mark.parametrize("jobs", [1, 2])
def test_the_root_opens_what_evolving_keys_wrote(tmp_path: Path, jobs: int) -> None:
    heads = evolved(tmp_path)
    assert count_of(tmp_path, root_ring(OLD).newest, jobs) == 12
    assert count_of(tmp_path, root_ring().newest, jobs) == 12  # the plain one's segment is sealed
    for start in heads:
        list(read_entries(tmp_path, root_ring().newest, KEYED, start))
    follower = Follower(tmp_path, root_ring(OLD).newest, key_change)
    assert len(list(follower.poll())) == 12


def test_who_has_the_newest_key_alone_verifies_what_it_seals(tmp_path: Path) -> None:
    """A start has no older one: each segment's first record proves the segment before."""
    evolved(tmp_path)
    host = KeyRing([], evolving(3))
    hasher = current_key(tmp_path, host.newest, key_change)
    assert hasher.number == 3
    assert count_of(tmp_path, hasher) == 12
    middle = tmp_path / segment_name(2)
    content = middle.read_bytes()
    for changed in (content.replace(b"xxx", b"xyx", 1), content[: len(content) // 2]):
        middle.write_bytes(changed)
        with pytest.raises(WalDamage, match=r"00000002\.jsonl, byte 0, record 4: the segment has"):
            count_of(tmp_path, hasher)
    middle.write_bytes(content)
    late = KeyRing([], evolving(4))
    with pytest.raises(WalKeyMismatch, match="number 3 there, which was not given"):
        count_of(tmp_path, current_key(tmp_path, late.newest, key_change))


def forge(log: Path, thief: EvolvingKey, first: int, numbers: Sequence[int]) -> None:
    """The segments from `first` on anew, by who has `thief` and all that comes of it."""
    ring = KeyRing([OLD], thief)
    for path in sorted(log.glob("*.jsonl"))[first - 1 :]:
        path.unlink()
    entries = list(read_entries(log, root_ring(OLD).newest, KEYED)) if first > 1 else []
    head = entries[-1].head if entries else EMPTY_HEAD
    before = current_key(log, root_ring(OLD).newest, key_change) if entries else None
    for number in numbers:
        hasher = at(ring, number) if number else ring.plain[0]
        head = write_segment(log, before, hasher, head)
        before = hasher


@pytest.mark.parametrize(
    ("first", "numbers"),
    [
        (2, [3, 4]),  # the morning's first evolving segment under a later key
        (3, [3, 4]),  # a segment of the morning left out
        (3, [4]),
        (3, [0]),  # back to the plain key, which a host may still have had
        (1, [3, 4]),  # all of it anew
        (1, [0, 3]),
    ],
)
def test_the_noon_thief_cannot_rewrite_the_morning(
    tmp_path: Path, first: int, numbers: list[int]
) -> None:
    """Evolving keys 1 to 3 have written; who takes the machine has the third, and the plain one."""
    evolved(tmp_path)
    forge(tmp_path, evolving(3), first, numbers)
    with pytest.raises(WalDamage):
        count_of(tmp_path, root_ring(OLD).newest)


def test_the_noon_thief_writes_from_noon_on(tmp_path: Path) -> None:
    """Which is why the day's later heads are to be anchored or signed elsewhere."""
    evolved(tmp_path)
    forge(tmp_path, evolving(3), 4, [3, 4])
    assert count_of(tmp_path, root_ring(OLD).newest) == 15


STEPS: list[tuple[tuple[Any, ...] | None, tuple[Any, ...], bool]] = [
    (None, ("a",), True),
    (None, ("a", 1), True),
    (None, ("a", 2), False),
    (None, ("a", 0, "b"), False),
    (("a",), ("b", 0, "a"), True),
    (("a",), ("b", 1, "a"), True),
    (("a",), ("b", 2, "a"), False),
    (("a",), ("b", 0, "c"), False),
    (("a",), ("b",), False),
    (("a", 1), ("b", 2, "a"), True),
    (("a", 1), ("b", 1, "a"), False),
    (("a", 1), ("b", 3, "a"), False),
    (("a", 2), ("b", 1, "a"), False),
    (("a", 1), ("b", 0, "a"), False),
]


@pytest.mark.parametrize(("before", "change", "is_allowed"), STEPS)
def test_which_key_may_follow_which(
    before: tuple[Any, ...] | None, change: tuple[Any, ...], is_allowed: bool
) -> None:
    given = None if before is None else KeyChange(*before)
    if is_allowed:
        check_step(given, KeyChange(*change))
    else:
        with pytest.raises(KeyStepError):
            check_step(given, KeyChange(*change))


def test_an_evolving_key_is_hkdf_of_the_one_before() -> None:
    """RFC 5869's expansion, as another implementation makes it."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

    def expand(info: bytes) -> bytes:
        return HKDFExpand(SHA256(), 32, b"pretrade-guard.wal-evolving-" + info).derive(ROOT)

    key = EvolvingKey(0, ROOT)
    assert key.chain_key() == expand(b"chain.v1")
    assert bytes(key.next().secret) == expand(b"next.v1")


def test_what_is_forgotten_is_wiped() -> None:
    ring = KeyRing([], evolving(1))
    first = ring.evolving
    assert first is not None
    ring.forget_before(3)
    assert first.secret == bytes(32)
    assert ring.evolving is not None
    assert (ring.evolving.number, ring.evolving.secret) == (3, evolving(3).secret)
    assert ring.find(KeyChange(at(root_ring(), 2).key_id, 2)) is None


def test_a_log_that_names_no_key_is_read_as_before(tmp_path: Path) -> None:
    """Of an earlier version, or of another writer."""
    with LogWriter.open(
        tmp_path, ChainHasher(KEY), EMPTY_HEAD, monotonic_ns=fake_clock()
    ) as writer:
        for sequence in range(1, 6):
            writer.append(sequence, record("order", sequence))
            writer.sync_now()
            writer.rotate()
    assert count_of(tmp_path, KeyRing([NEW, KEY]).newest) == 5
