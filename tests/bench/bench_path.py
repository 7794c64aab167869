"""Times the way of requests inside the process, and of their records through recovery and replay.

    python tests/bench/bench_path.py [--orders N] [--venues N] [--desks N] [--remembered N]

No socket or sync. Every figure is microseconds of this thread's CPU time a request: of each round
the mean, of all rounds the median. `answered` is the daemon's own way from a body to its answer and
staged record, hashed into the chain, batches of 256 to a disk that takes nothing. `fold` and
`replay` begin with the records' data: no file, no chain. A fresh engine for each.
"""

import argparse
import gc
import itertools
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import msgspec
from measured import say_what_is_measured

from guard import clock
from guard.config.activation import opening_events
from guard.config.file import parse_config
from guard.engine.engine import Engine
from guard.protocol.outcome import Outcome
from guard.protocol.request_reader import RequestReader
from guard.record.applying import RecordFolder
from guard.record.codec import encode_event
from guard.record.rules import RecordRules
from guard.record.writer import RecordWriter
from guard.replay.redecide import Redecider
from guard.server.counters import Counters
from guard.server.request_path import RequestPath, record_event
from guard_support import KEY, LOG_ID, T0, actor
from wal import EMPTY_HEAD, ChainHasher, LogWriter

now = time.thread_time_ns
EXAMPLE = Path(__file__).resolve().parents[2] / "configs" / "dev.toml"
BATCH = 64
KEY_ID = ChainHasher(KEY).key_id
RECORDS_A_BATCH = 256


def config_of(venues: int, desks: int, remembered: int) -> Any:
    """The development configuration, widened."""
    text = EXAMPLE.read_text()
    for number in range(4, venues + 1):
        text += (
            f"[[policy.venues]]\nvenue = {number * 10}\nprovider = {number % 60}\n"
            f"quality_bps = {9000 - number}\nrisk_ceiling_bps = 9500\np95_latency_ms = 90\n"
            "fee_microcents_per_million_lots = 5100\nfee_microcents_per_order = 9500\n"
        )
    for number in range(2, desks):
        text += f'[[desks]]\ndesk = "desk-{number}"\nbudget = "90000000.00"\n'
        text += 'exposure_cap = "none"\n'
    text = text.replace("1_000_000", str(max(1_000_000, remembered)))
    text = text.replace('"500000.00"', '"90000000000.00"')
    return parse_config(text)


def order_of(number: int, desk: str) -> dict[str, Any]:
    return {
        "type": "order", "client_order_id": f"bench-{number:09d}", "desk": desk,
        "symbol": "BTC-USD", "side": "buy", "quantity": 1_000, "price": 619_000, "venue": 10,
        "risk_bps": 200, "confidence_bps": 9000,
    }  # fmt: skip


def fill_of(number: int, desk: str) -> dict[str, Any]:
    return {
        "type": "fill", "client_order_id": f"bench-{number:09d}", "desk": desk,
        "fill_id": f"fill-{number:09d}", "quantity": 400, "price": 618_000,
        "fee_microcents": 5_000,
    }  # fmt: skip


def cancel_of(number: int, desk: str) -> dict[str, Any]:
    return {"type": "cancel", "client_order_id": f"bench-{number:09d}", "desk": desk}


class NoDisk:
    """Takes everything at once; the file has the size that it should, and nothing in it."""

    def write(self, descriptor: int, data: memoryview, offset: int, /) -> int:
        os.ftruncate(descriptor, offset + len(data))
        return len(data)

    def fdatasync(self, _descriptor: int, /) -> None:
        pass

    def shorten(self, descriptor: int, size: int, /) -> None:
        os.ftruncate(descriptor, size)


class Answered:
    """A fresh log and the daemon's way over it."""

    def __init__(self, config: Any, directory: str) -> None:
        self.engine, hasher = Engine(), ChainHasher(KEY)
        self.writer = LogWriter.open(
            Path(directory), hasher, EMPTY_HEAD, monotonic_ns=clock.monotonic_ns, files=NoDisk()
        )
        for event in opening_events(config, actor(T0), LOG_ID, hasher.key_id):
            record_event(self.engine, self.writer, event)
        self.path = RequestPath(
            self.engine, self.writer, Counters(), clock.wall_ns, system_ns=clock.system_ns
        )

    def answer(self, bodies: list[bytes]) -> int:
        """Returns the nanoseconds taken."""
        answer, writer = self.path.answer, self.writer
        started = now()
        for body in bodies:
            answer(body, 1)
            if writer.staged_count >= RECORDS_A_BATCH:
                writer.sync_now()
        return now() - started


def answered(config: Any, before: list[bytes], bodies: list[bytes]) -> dict[str, int]:
    """Of the bodies, after those that must come before."""
    with tempfile.TemporaryDirectory() as directory:
        one = Answered(config, directory)
        one.answer(before)
        spent = one.answer(bodies)
        one.writer.close()
    return {"answered": spent}


def records_of(config: Any, *parts: list[bytes]) -> list[bytes]:
    """The records of these bodies, without a chain."""
    engine, reader, writer, outcome = Engine(), RequestReader("local"), RecordWriter(), Outcome()
    records = []
    for event in opening_events(config, actor(T0), LOG_ID, KEY_ID):
        records.append(encode_event(event))
        engine.apply_event(engine.next_sequence, event)
    for body in itertools.chain(*parts):
        reader.read(body, 1, "USD")
        request = reader.requests[0]
        request.received_at_ns = T0
        request.batch_first_sequence = engine.next_sequence
        assert engine.decide(request, outcome)
        records.append(writer.data(request, outcome, engine.state.policy_digest_hex))
        engine.apply(request, outcome)
    return records


def fold(records: list[bytes]) -> dict[str, int]:
    """Recovery's half, without the reader of files."""
    folder = RecordFolder(Engine(), KEY_ID)
    started = now()
    for sequence, data in enumerate(records, 1):
        folder.apply(sequence, folder.read(sequence, data, ""))
    return {"fold": now() - started}


def replay(records: list[bytes], first: int) -> dict[str, int]:
    """Replay's: read, decide again, write, compare, apply. Of the records from `first` on."""
    engine = Engine()
    folder = RecordFolder(engine, KEY_ID)
    redecider = Redecider(engine, RecordRules(engine.state, KEY_ID))
    for sequence, data in enumerate(records[:first], 1):
        folder.apply(sequence, folder.read(sequence, data, ""))
    started = now()
    for data in records[first:]:
        assert redecider.take(data)
    return {"replay": now() - started}


def note(figures: dict[str, list[float]], kind: str, spent: dict[str, int], count: int) -> None:
    """Adds a round's means to the figures."""
    for stage, spent_ns in spent.items():
        figures.setdefault(f"{kind}|{stage}", []).append(spent_ns / count / 1000)


def main() -> None:
    """Runs the rounds and prints the medians."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--orders", type=int, default=6_400)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--venues", type=int, default=3)
    parser.add_argument("--desks", type=int, default=2)
    parser.add_argument("--remembered", type=int, default=0)
    options = parser.parse_args()
    config = config_of(options.venues, options.desks, options.remembered)
    names = [name for name in config.desks if name != "desk-alpha"]
    desks = [names[number % len(names)] for number in range(options.orders)]
    figures: dict[str, list[float]] = {}
    pack, text = msgspec.msgpack.encode, msgspec.json.encode
    count = options.orders
    orders = [order_of(number, desk) for number, desk in enumerate(desks)]
    fills = [fill_of(number, desk) for number, desk in enumerate(desks)]
    bodies = {
        "order msgpack": [pack(each) for each in orders],
        f"order msgpack x{BATCH}": [pack(orders[at : at + BATCH]) for at in range(0, count, BATCH)],
        "order json": [text(each) for each in orders],
        "reject msgpack": [pack(each | {"risk_bps": 9_999}) for each in orders],
        "fill msgpack": [pack(each) for each in fills],
        "fill json": [text(each) for each in fills],
        "cancel msgpack": [pack(cancel_of(number, desk)) for number, desk in enumerate(desks)],
        "status msgpack": [
            pack(cancel_of(number, desk) | {"type": "status"}) for number, desk in enumerate(desks)
        ],
    }
    gc.disable()
    for _ in range(options.rounds):
        for kind, each in bodies.items():
            before = [] if "order" in kind or "reject" in kind else bodies["order msgpack"]
            note(figures, kind, answered(config, before, each), count)
        opening = len(records_of(config))
        admitted, filled, canceled = (
            bodies[kind] for kind in ("order msgpack", "fill msgpack", "cancel msgpack")
        )
        records = records_of(config, admitted, filled, canceled)
        note(figures, "all records", fold(records), len(records))
        for title, parts in (
            ("order records", [admitted]),
            ("reject records", [bodies["reject msgpack"]]),
        ):
            note(figures, title, replay(records_of(config, *parts), opening), count)
        note(
            figures, "fill records", replay(records[: opening + 2 * count], opening + count), count
        )
        note(figures, "cancel records", replay(records, opening + 2 * count), count)
    say_what_is_measured()
    print(
        f"{options.venues} venues, {len(config.desks)} desks, {count} orders, "
        f"{options.rounds} rounds; us CPU a request"
    )
    rows: dict[str, dict[str, float]] = {}
    for name, values in figures.items():
        kind, stage = name.split("|")
        rows.setdefault(kind, {})[stage] = statistics.median(values)
    for kind, stages in rows.items():
        print(f"{kind:18}", "  ".join(f"{stage} {spent:6.2f}" for stage, spent in stages.items()))


if __name__ == "__main__":
    main()
