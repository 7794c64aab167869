"""Times the order path inside the process, by stage: body in, record and reply out, state applied.

    python tests/bench/bench_one.py [--orders N] [--venues N] [--desks N] [--remembered N]

No socket, file or sync. Every figure is microseconds of this thread's CPU time a request: of each
round the mean, of all rounds the median. A stage is timed over many requests at once, so that the
clock is not part of it; `decide` to `apply` alternate as they must, and are told apart by rounds
that leave the later ones out of the clock. A fresh engine for each round.
"""

import argparse
import gc
import statistics
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import msgspec

import guard
import kernel
from guard.activation import opening_events
from guard.config import parse_config
from guard.engine import Engine
from guard.journal import decode_data, encode_data
from guard.outcomes import Decided, Origin
from guard.wire import encode_replies, parse_message
from guard_support import LOG_ID, T0, actor

now = time.thread_time_ns
EXAMPLE = Path(__file__).resolve().parents[2] / "configs" / "dev.toml"
BATCH = 64


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
    """A fresh engine, and what each stage made for the next."""

    def __init__(self, config: Any) -> None:
        self.engine = Engine()
        self.records: list[bytes] = []
        for event in opening_events(config, actor(T0), LOG_ID, "test-key-id"):
            self.records.append(encode_data(Decided(event)))
            self.engine.apply(self.engine.next_sequence, event)

    def run(self, bodies: list[bytes], figures: dict[str, list[float]], kind: str) -> None:
        """All stages over these bodies; the means are appended to `figures`."""
        engine = self.engine
        count = sum(len(parse_message(body, "USD").requests) for body in bodies)
        started = now()
        messages = [parse_message(body, "USD") for body in bodies]
        parsed = now()
        decide_ns = encode_ns = apply_ns = loop_ns = 0
        all_replies = []
        for message in messages:
            replies = []
            for request in message.requests:
                a = now()
                b = now()
                decided = engine.decide(request, Origin(T0, "local", 1))
                c = now()
                data = encode_data(decided)
                d = now()
                engine.apply(engine.next_sequence, decided.outcome)
                e = now()
                loop_ns += b - a
                decide_ns += c - b
                encode_ns += d - c
                apply_ns += e - d
                self.records.append(data)
                replies.append(decided.outcome.answer)
            all_replies.append(replies)
        before = now()
        for message, replies in zip(messages, all_replies, strict=True):
            encode_replies(message, replies)
        after = now()
        stages = {
            "parse": parsed - started,
            "decide": decide_ns - loop_ns,
            "record": encode_ns - loop_ns,
            "apply": apply_ns - loop_ns,
            "reply": after - before,
        }
        stages["sum"] = sum(stages.values())
        for name, spent in stages.items():
            figures.setdefault(f"{kind} {name}", []).append(spent / count / 1000)


def fold_and_replay(records: list[bytes], figures: dict[str, list[float]]) -> None:
    """Recovery's half and replay's over a round's records, without the reader."""
    started = now()
    decoded = [decode_data(data) for data in records]
    middle = now()
    engine = Engine()
    for number, each in enumerate(decoded, 1):
        engine.apply(number, each.outcome)
    folded = now()
    figures.setdefault("recovery decode", []).append((middle - started) / len(records) / 1000)
    figures.setdefault("recovery apply", []).append((folded - middle) / len(records) / 1000)


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
    gc.disable()
    for _ in range(options.rounds):
        orders = [order_of(number, desk) for number, desk in enumerate(desks)]
        for form, encode in (("msgpack", pack), ("json", text)):
            one = Round(config)
            one.run([encode(each) for each in orders], figures, f"order {form}")
        fills = [encode(fill_of(number, desk)) for number, desk in enumerate(desks)]
        cancels = [encode(cancel_of(number, desk)) for number, desk in enumerate(desks)]
        one.run(fills, figures, "fill json")
        one.run(cancels, figures, "cancel json")
        fold_and_replay(one.records, figures)
        one = Round(config)
        bodies = [pack(orders[at : at + BATCH]) for at in range(0, count, BATCH)]
        one.run(bodies, figures, f"order msgpack x{BATCH}")
    print(
        f"kernel {kernel.KERNEL_FORM}, guard {guard.GUARD_FORM}; {options.venues} venues, "
        f"{len(config.desks)} desks, {count} orders, {options.rounds} rounds; us CPU a request"
    )
    rows: dict[str, dict[str, float]] = {}
    for name, values in figures.items():
        kind, stage = name.rsplit(" ", 1)
        rows.setdefault(kind, {})[stage] = statistics.median(values)
    for kind, stages in rows.items():
        print(f"{kind:18}", "  ".join(f"{stage} {spent:6.2f}" for stage, spent in stages.items()))


if __name__ == "__main__":
    main()
