"""Times the order path inside the process, by stage: body in, record and reply out, state applied.

    python tests/bench/bench_path.py [--orders N] [--venues N] [--desks N] [--remembered N]

No socket or sync. Every figure is microseconds of this thread's CPU time a request: of each round
the mean, of all rounds the median. `answered` is the daemon's own way from a body to its answer and
staged record, hashed into the chain, batches of 256 to a disk that takes nothing; `without lane`
the same where no order takes the short one. `whole` is one loop over the engine's stages, without
the chain, with no clock in it; the stages are timed one by one in a loop of their own, with the
clock's share left out, and are dearer together: the clock's system call disturbs what it measures.
A fresh engine for each.
"""

import argparse
import gc
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import msgspec

import guard
import kernel
from guard import clock
from guard.activation import opening_events
from guard.answering import Answering, record_outcome
from guard.config import parse_config
from guard.counters import Counters
from guard.engine.engine import Engine
from guard.record.codec import decode_event
from reference.journal import encode_data
from guard.outcomes import Decided, Origin
from guard.wire import encode_replies, parse_message
from guard_support import KEY, LOG_ID, T0, actor
from wal import EMPTY_HEAD, ChainHasher, LogWriter

now = time.thread_time_ns
EXAMPLE = Path(__file__).resolve().parents[2] / "configs" / "dev.toml"
BATCH = 64
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


class Round:
    """A fresh engine. `records` are kept where `keep` asks for them: they take memory and time."""

    def __init__(self, config: Any, keep: bool = False) -> None:
        self.engine = Engine()
        self.keep = keep
        self.records: list[bytes] = []
        for event in opening_events(config, actor(T0), LOG_ID, "test-key-id"):
            self.records.append(encode_data(Decided(event)))
            self.engine.apply(self.engine.next_sequence, event)

    def whole(self, bodies: list[bytes]) -> int:
        """Bodies in, records and replies out; returns the nanoseconds taken."""
        engine = self.engine
        started = now()
        for body in bodies:
            message = parse_message(body, "USD")
            replies = []
            for request in message.requests:
                decided = engine.decide(request, Origin(T0, "local", 1))
                data = encode_data(decided)
                engine.apply(engine.next_sequence, decided.outcome)
                replies.append(decided.outcome.answer)
                if self.keep:
                    self.records.append(data)
            encode_replies(message, replies)
        return now() - started

    def by_stage(self, bodies: list[bytes]) -> dict[str, int]:
        """The nanoseconds of each stage; what the clock itself takes is left out."""
        engine = self.engine
        spent = dict.fromkeys(("parse", "decide", "record", "apply", "reply"), 0)
        for body in bodies:
            a = now()
            b = now()
            message = parse_message(body, "USD")
            c = now()
            clock = b - a
            spent["parse"] += c - b - clock
            replies = []
            for request in message.requests:
                a = now()
                decided = engine.decide(request, Origin(T0, "local", 1))
                b = now()
                encode_data(decided)
                c = now()
                engine.apply(engine.next_sequence, decided.outcome)
                d = now()
                spent["decide"] += b - a - clock
                spent["record"] += c - b - clock
                spent["apply"] += d - c - clock
                replies.append(decided.outcome.answer)
            a = now()
            encode_replies(message, replies)
            spent["reply"] += now() - a - clock
        return spent


class NoDisk:
    """Takes everything at once."""

    def write(self, _descriptor: int, data: memoryview, /) -> int:
        return len(data)

    def fdatasync(self, _descriptor: int, /) -> None:
        pass


class Answered:
    """A fresh log and the daemon's `Answering` over it."""

    def __init__(self, config: Any, directory: str, *, has_lane: bool) -> None:
        engine, hasher = Engine(), ChainHasher(KEY)
        self.writer = LogWriter.open(
            Path(directory), hasher, EMPTY_HEAD, monotonic_ns=clock.monotonic_ns, files=NoDisk()
        )
        for event in opening_events(config, actor(T0), LOG_ID, hasher.key_id):
            record_outcome(engine, self.writer, Decided(event))
        self.answering = Answering(engine, self.writer, Counters(), clock.wall_ns, has_lane)

    def answer(self, bodies: list[bytes]) -> int:
        """Returns the nanoseconds taken."""
        answer, writer = self.answering.answer, self.writer
        started = now()
        for body in bodies:
            answer(body, 1)
            if writer.staged_count >= RECORDS_A_BATCH:
                writer.sync_now()
        return now() - started


def answered(
    config: Any, before: list[bytes], bodies: list[bytes], *, has_lane: bool
) -> dict[str, int]:
    """Of the bodies, after those that must come before."""
    with tempfile.TemporaryDirectory() as directory:
        one = Answered(config, directory, has_lane=has_lane)
        one.answer(before)
        spent = one.answer(bodies)
        one.writer.close()
    return {"answered" if has_lane else "without lane": spent}


def note(figures: dict[str, list[float]], kind: str, spent: dict[str, int], count: int) -> None:
    """Adds a round's means to the figures."""
    for stage, spent_ns in spent.items():
        figures.setdefault(f"{kind}|{stage}", []).append(spent_ns / count / 1000)


def fold(records: list[bytes]) -> dict[str, int]:
    """Recovery's half over a round's records, without the reader."""
    started = now()
    decoded = [decode_event(data) for data in records]
    middle = now()
    engine = Engine()
    for number, each in enumerate(decoded, 1):
        engine.apply(number, each)
    return {"decode": middle - started, "apply": now() - middle}


def replay(records: list[bytes]) -> dict[str, int]:
    """Replay's: decode, decide again, encode, compare, apply."""
    engine = Engine()
    started = now()
    for number, data in enumerate(records, 1):
        outcome: Any = decode_event(data)
        request = request_of(outcome)
        if request is None:
            again = encode_data(Decided(outcome))
        else:
            origin = Origin(outcome.received_at_ns, outcome.client, outcome.batch_first_sequence)
            again = encode_data(engine.decide(request, origin))
        assert again == data
        engine.apply(number, outcome)
    return {"whole": now() - started}


def request_of(outcome: Any) -> Any:
    """What a recorded event answers; None for an administrative one."""
    for name in ("order", "fill", "cancel"):
        if hasattr(outcome, name):
            return getattr(outcome, name)
    return None


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
    bodies = {
        "order msgpack": [pack(each) for each in orders],
        f"order msgpack x{BATCH}": [pack(orders[at : at + BATCH]) for at in range(0, count, BATCH)],
        "order json": [text(each) for each in orders],
        "fill msgpack": [pack(fill_of(number, desk)) for number, desk in enumerate(desks)],
        "cancel msgpack": [pack(cancel_of(number, desk)) for number, desk in enumerate(desks)],
    }
    gc.disable()
    for _ in range(options.rounds):
        for kind, each in bodies.items():
            one, other = Round(config), Round(config)
            before = [] if "order" in kind else bodies["order msgpack"]
            one.whole(before)
            other.whole(before)
            for has_lane in (True, False):
                note(figures, kind, answered(config, before, each, has_lane=has_lane), count)
            note(figures, kind, one.by_stage(each), count)
            note(figures, kind, {"whole": other.whole(each)}, count)
        kept = Round(config, keep=True)
        for kind in ("order msgpack", "fill msgpack", "cancel msgpack"):
            kept.whole(bodies[kind])
        records = kept.records
        for title, part in (("orders", records[: count + 8]), ("mixed", records)):
            note(figures, f"recovery {title}", fold(part), len(part))
            note(figures, f"replay {title}", replay(part), len(part))
    print(
        f"kernel {kernel.KERNEL_FORM}, guard {guard.GUARD_FORM}; {options.venues} venues, "
        f"{len(config.desks)} desks, {count} orders, {options.rounds} rounds; us CPU a request"
    )
    rows: dict[str, dict[str, float]] = {}
    for name, values in figures.items():
        kind, stage = name.split("|")
        rows.setdefault(kind, {})[stage] = statistics.median(values)
    for kind, stages in rows.items():
        print(f"{kind:18}", "  ".join(f"{stage} {spent:6.2f}" for stage, spent in stages.items()))


if __name__ == "__main__":
    main()
