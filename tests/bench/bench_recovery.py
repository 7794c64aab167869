"""Times a start: reading a log of many records, with a checkpoint near its end and without.

    python tests/bench/bench_recovery.py [records] [tail]

The log is made first, by the engine and the writer in this process: orders that are admitted, every
other one filled whole, so that one in three records is a fill. The checkpoint stands `tail` records
before its end. Each recovery then runs in a process of its own: all that a start does before it
binds its socket. CPU and wall time, and the peak of the resident memory.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import msgspec
from measured import say_what_is_measured

from guard.config.activation import opening_events
from guard.engine.actor import Actor
from guard.engine.engine import Engine
from guard.process import own_process
from guard.protocol.messages import Fill, Order, Request
from guard.recovery.checkpoint_payload import encode_state, state_digest_hex
from guard.recovery.recover import recover_log
from guard.server.counters import Counters
from guard.server.request_path import RequestPath, record_event
from guard_support import KEY, LOG_ID, T0, dev_config
from wal import EMPTY_HEAD, ChainHasher, LogWriter, write_checkpoint

RECORDS = 1_000_000
TAIL = 50_000
BATCH_RECORDS = 4_096
HASHER = ChainHasher(KEY)


class Maker:
    """Decides, records and applies; syncs now and then."""

    def __init__(self, writer: LogWriter, orders_max: int) -> None:
        self.engine = Engine()
        self._writer = writer
        config = dev_config(
            ('budget = "2000000.00"', 'budget = "90000000000.00"'),
            ('exposure_cap = "1500000.00"', 'exposure_cap = "none"'),
            remembered_orders_max=orders_max,
        )
        for event in opening_events(config, Actor(T0, 1, "bench", "bench"), LOG_ID, HASHER.key_id):
            record_event(self.engine, writer, event)
        self._now_ns = T0
        self._path = RequestPath(self.engine, writer, Counters(), lambda: self._now_ns)

    def request(self, request: Request) -> None:
        sequence = self.engine.next_sequence
        self._now_ns = T0 + sequence
        self._path.answer(msgspec.msgpack.encode(request), 1)
        if self.engine.next_sequence == sequence:
            raise SystemExit(f"no record: {request}")
        if self._writer.staged_count >= BATCH_RECORDS:
            self._writer.sync_now()


def make_log(directory: Path, record_count: int, tail: int) -> None:
    writer = LogWriter.open(directory, HASHER, EMPTY_HEAD, monotonic_ns=time.monotonic_ns)
    with writer:
        maker = Maker(writer, record_count)
        number = 0
        while maker.engine.next_sequence <= record_count:
            number += 1
            name = f"A-{number:09d}"
            maker.request(
                Order(
                    name, "desk-alpha", "AAPL", "buy", 100 + number % 900, 19_000, 10, 200, 9_000,
                    currency="USD",
                )
            )  # fmt: skip
            if number % 2:
                maker.request(Fill("desk-alpha", name, "F-1", 100 + number % 900, 5_000))
            if maker.engine.next_sequence in (record_count - tail, record_count - tail + 1):
                head = writer.sync_now()
                state = maker.engine.state
                started_ns = time.perf_counter_ns()
                digest = state_digest_hex(state)
                digested_ns = time.perf_counter_ns()
                info = write_checkpoint(directory, head, digest, encode_state(state), HASHER)
                print(
                    f"checkpoint of record {head.sequence}: {info.head.payload_bytes / 1e6:.0f} MB,"
                    f" digest {(digested_ns - started_ns) / 1e6:.0f} ms, written in"
                    f" {(time.perf_counter_ns() - digested_ns) / 1e6:.0f} ms"
                )
                writer.rotate()
        writer.sync_now()


def recover(directory: Path) -> None:
    started_ns, cpu_ns = time.perf_counter_ns(), time.process_time_ns()
    recovered = recover_log(directory, HASHER)
    wall_s = (time.perf_counter_ns() - started_ns) / 1e9
    cpu_s = (time.process_time_ns() - cpu_ns) / 1e9
    recovered.lock.release()
    start = 0 if recovered.checkpoint is None else recovered.checkpoint.sequence
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"recovered {recovered.head.sequence} from record {start} on: {wall_s:.2f} s,"
        f" {cpu_s:.2f} s of CPU, peak {peak_mb:.0f} MB,"
        f" digest {state_digest_hex(recovered.engine.state)[:16]}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("records", nargs="?", type=int, default=RECORDS)
    parser.add_argument("tail", nargs="?", type=int, default=TAIL)
    parser.add_argument("--recover", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.recover is not None:
        recover(options.recover)
        return
    say_what_is_measured()
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as root:
        directory = Path(root)
        started_ns = time.perf_counter_ns()
        make_log(directory, options.records, options.tail)
        log_bytes = sum(path.stat().st_size for path in directory.glob("*.jsonl"))
        seconds = (time.perf_counter_ns() - started_ns) / 1e9
        print(f"log: {options.records} records, {log_bytes / 1e6:.0f} MB, made in {seconds:.0f} s")
        again = own_process.command(__file__, "--recover", root)
        subprocess.run(again, check=True)
        for path in directory.glob("checkpoint*"):
            path.unlink()
        subprocess.run(again, check=True)


if __name__ == "__main__":
    main()
