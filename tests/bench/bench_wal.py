"""How fast the log is: hashing, append and sync, chain check beside the wheel's, a start's cost.

Run: `python tests/bench/bench_wal.py [directory]`. The directory says which disk is measured (the
system's temporary one by default). Prints its conditions first: a figure without them means little.
Owns nothing; leaves nothing behind.
"""

import asyncio
import hmac
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import calybris
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.hmac import HMAC
from measured import say_what_is_measured

from guard.bench.conditions import processor
from wal import (
    EMPTY_HEAD,
    SEGMENT_BYTES_MAX,
    ChainHasher,
    Dialect,
    Head,
    LogWriter,
    encode_line,
    find_head,
    open_checkpoint,
    rewrite_tail,
    write_checkpoint,
)
from wal.entryhash import EntryHash

KEY = bytes(range(32))
DATA_BYTES = 1200  # about a decision record
ROUNDS = 5
CHECKED_RECORDS = 40_000
BATCH_SIZES = (1, 8, 64, 256, 1024)
SECONDS_PER_SIZE = 1.0
DIALECT = Dialect(lambda data: False, lambda data: None, lambda data: False)


def sample_data() -> bytes:
    """JSON of DATA_BYTES with the mix of names and numbers that a record has."""
    members: dict[str, object] = {"kind": "order", "batch": 1}
    while len(json.dumps(members, separators=(",", ":"))) < DATA_BYTES - 40:
        members[f"field_{len(members)}_microunits"] = len(members) * 1_000_003
    padding = DATA_BYTES - len(json.dumps({**members, "p": ""}, separators=(",", ":")))
    return json.dumps({**members, "p": "x" * padding}, separators=(",", ":")).encode()


def print_conditions(directory: Path, data: bytes) -> None:
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{platform.python_implementation()} {platform.python_version()}, {processor()}")
    print(f"{os.cpu_count()} cores, load {load}; wheel calybris {calybris.__version__}")
    print(f"disk of {directory}; data of {len(data)} bytes, keyed; best of {ROUNDS} rounds\n")


def best_ns(action: Callable[[], object], count: int) -> float:
    """The fewest nanoseconds for one of `count` actions, over the rounds."""
    best = float("inf")
    for _ in range(ROUNDS):
        started_ns = time.perf_counter_ns()
        for _ in range(count):
            action()
        best = min(best, (time.perf_counter_ns() - started_ns) / count)
    return best


def bench_hashing(data: bytes) -> None:
    previous = "a" * 64
    previous_text = previous.encode()
    ours = ChainHasher(KEY)
    entry_hash = EntryHash(ours)
    cryptography_context = HMAC(KEY, hashes.SHA256())
    stdlib_context = hmac.new(KEY, digestmod=sha256)

    def with_cryptography() -> str:
        context = cryptography_context.copy()
        context.update(previous.encode() + data)
        return context.finalize().hex()

    def with_hmac() -> str:
        context = stdlib_context.copy()
        context.update(previous.encode() + data)
        return context.hexdigest()

    print("one keyed hash                            ns")
    forms: dict[str, Callable[[], str]] = {
        "OpenSSL's functions (the writer's)": lambda: entry_hash.digest(previous_text, data).hex(),
        "inner and outer SHA-256 copied": lambda: ours.entry_hash(previous, data),
        "cryptography's HMAC copied": with_cryptography,
        "hmac's copied": with_hmac,
    }
    assert len({form() for form in forms.values()}) == 1
    for name, form in forms.items():
        print(f"  {name:38} {best_ns(form, 10_000):5.0f}")


def bench_chain_check(directory: Path, data: bytes) -> None:
    hasher, head, lines = ChainHasher(KEY), EMPTY_HEAD, []
    for sequence in range(1, CHECKED_RECORDS + 1):
        entry_hash = hasher.entry_hash(head.entry_hash, data)
        lines.append(encode_line(sequence, head.entry_hash, entry_hash, data))
        head = type(head)(sequence, entry_hash)
    path = directory / "checked.jsonl"
    path.write_bytes(b"".join(lines))
    checks: dict[str, Callable[[], object]] = {
        "ours (Python)": lambda: find_head(path, hasher, DIALECT),
        "the wheel (Rust)": lambda: calybris.verify_audited_wal(path, hmac_key=KEY),
    }
    print(f"\nchain check of {CHECKED_RECORDS:,} records    records/s   MB/s")
    for name, check in checks.items():
        assert check() == head
        seconds = best_ns(check, 1) / 1e9
        megabytes = path.stat().st_size / 1e6
        print(f"  {name:30} {CHECKED_RECORDS / seconds:12,.0f} {megabytes / seconds:6.0f}")
    path.unlink()


async def bench_append_and_sync(directory: Path, data: bytes) -> None:
    print("\nappend and sync   records/s   batch ms (median)   of it disk   append us")
    for size in BATCH_SIZES:
        with tempfile.TemporaryDirectory(dir=directory) as name:
            hasher = ChainHasher(KEY)
            clock = time.perf_counter_ns
            with LogWriter.open(Path(name), hasher, EMPTY_HEAD, monotonic_ns=clock) as writer:
                batches_ns, disk_ns, append_ns, sequence = [], [], [], 0
                deadline = clock() + int(SECONDS_PER_SIZE * 1e9)
                while clock() < deadline:
                    started_ns = clock()
                    for sequence in range(sequence + 1, sequence + size + 1):  # noqa: B020
                        writer.append(sequence, data)
                    appended_ns = clock()
                    await writer.sync()
                    batches_ns.append(clock() - started_ns)
                    append_ns.append((appended_ns - started_ns) / size)
                    assert writer.last_sync is not None
                    disk_ns.append(writer.last_sync.latency_ns)
                rate = sequence / (sum(batches_ns) / 1e9)
        print(
            f"  {size:5} a batch {rate:12,.0f} {statistics.median(batches_ns) / 1e6:19.2f} "
            f"{statistics.median(disk_ns) / 1e6:12.2f} {statistics.median(append_ns) / 1e3:11.2f}"
        )


def bench_start(directory: Path, data: bytes) -> None:
    """What a start behind a checkpoint adds, at most: a full segment passed over and rewritten."""
    log = directory / "started"
    log.mkdir()
    hasher, clock = ChainHasher(KEY), time.perf_counter_ns
    heads: list[Head] = []
    with LogWriter.open(log, hasher, EMPTY_HEAD, monotonic_ns=clock) as writer:
        while writer.segment_number < 3:
            for _ in range(256):
                writer.append(writer.staged_head.sequence + 1, data)
            heads.append(writer.sync_now())
    (log / "00000003.jsonl").unlink()  # its one batch: the second segment is full, and the last
    head = heads[-2]
    state = b"s" * 1_000_000

    def write_state() -> None:
        (log / "checkpoints.json").unlink(missing_ok=True)
        write_checkpoint(log, head, "ab" * 32, (state for _ in range(100)), hasher)

    def read_state() -> None:
        with open_checkpoint(write_checkpoint(log, head, "ab" * 32, iter(()), hasher)) as reader:
            reader.finish()

    print(f"\nstart in a log of two segments of {SEGMENT_BYTES_MAX >> 20} MiB      ms")
    for name, action in {
        "read from the genesis": lambda: find_head(log, hasher, DIALECT),
        "read from the end of the full last segment": lambda: find_head(
            log, hasher, DIALECT, start=head
        ),
        "rewrite that segment": lambda: rewrite_tail(log, head, hasher, DIALECT),
        "write a checkpoint of 100 MB": write_state,
        "read and check it": read_state,
    }.items():
        print(f"  {name:44} {best_ns(action, 1) / 1e6:7.1f}")


def main() -> None:
    parent = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.gettempdir())
    say_what_is_measured(beside_the_wheel=True)
    data = sample_data()
    with tempfile.TemporaryDirectory(dir=parent) as name:
        print_conditions(parent, data)
        bench_hashing(data)
        bench_chain_check(Path(name), data)
        bench_start(Path(name), data)
        asyncio.run(bench_append_and_sync(Path(name), data))


if __name__ == "__main__":
    main()
