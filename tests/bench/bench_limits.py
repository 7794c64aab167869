"""Times orders under all limits beside none, in turn, over desks × symbols; and replaces of them.

    python tests/bench/bench_limits.py [--desks N] [--symbols N] [--orders N] [--rounds N]

The daemon's own way from a body to its answer and staged record, as `bench_path.py` has it, in
arrays of 100 orders in MessagePack. Every scope says something: the firm all keys, half of the
desks, half of the symbols and a hundredth of the pairs some; two rates of each kind for the firm,
one for each of these desks; duplicates, a collar and its marks. All orders are admitted. Figures
are microseconds of this thread's processor time an order: of each round the mean, of all the
median; behind one order of each pair, for which its limits are worked out. Then each order is
replaced by one of a lot more, and what that takes stands beside an order.
"""

import argparse
import gc
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import msgspec
from bench_path import EXAMPLE, Answered
from measured import say_what_is_measured

from guard.config.file import parse_config

ARRAY = 100
PRICE = 619_000
FIRM = """[limits]
quantity_min = 1
quantity_max = 1_000_000_000
quantity_step = 1
price_step = 1
value_min = "0.00000001"
value_max = "90000000.00"
price_collar_bps = 1_000
reference_age_max_ms = 86_400_000
market_buffer_bps = 50
duplicate_window_ms = 1
sides = ["buy", "sell"]
order_types = ["limit", "market"]
times_in_force = ["day", "ioc", "fok", "gtc"]
venues = [10, 20, 30]
"""


def rate(place: str, kind: str, window_ms: int) -> str:
    most = '"9000000000.00"' if kind == "notional" else "1_000_000_000"
    return f'[[{place}.rates]]\nkind = "{kind}"\nwindow_ms = {window_ms}\nmax = {most}\n'


def config_of(desks: int, symbols: int, *, is_limited: bool) -> Any:
    """The development configuration, widened, with all limits or none."""
    text = EXAMPLE.read_text()
    for number in range(desks):
        text += f'[[desks]]\ndesk = "d{number}"\nbudget = "900000000.00"\nexposure_cap = "none"\n'
    for number in range(symbols):
        text += f'[[instruments]]\nsymbol = "s{number}"\ntick_size = "0.01"\n'
        text += 'lot_size = "0.00000001"\n'
    if not is_limited:
        return parse_config(text)
    limits = FIRM
    for kind in ("orders", "notional"):
        limits += rate("limits", kind, 1_000) + rate("limits", kind, 60_000)
    for number in range(0, desks, 2):
        limits += f"[limits.desk.d{number}]\nquantity_max = 900_000_000\n"
        limits += rate(f"limits.desk.d{number}", "orders", 1_000)
        limits += rate(f"limits.desk.d{number}", "notional", 1_000)
        if number % 10 == 0:
            for other in range(0, symbols, 10):
                limits += f"[limits.desk.d{number}.symbol.s{other}]\nquantity_max = 800_000_000\n"
    for number in range(0, symbols, 2):
        limits += f'[limits.symbol.s{number}]\nvalue_max = "80000000.00"\n'
    return parse_config(text.replace("[settings]", f"{limits}\n[settings]"))


def bodies_of(desks: int, symbols: int, orders: int) -> tuple[list[bytes], list[bytes]]:
    """Marks of all symbols, and orders spread evenly over desks and symbols."""
    encode = msgspec.msgpack.encode
    names = [f"s{number}" for number in range(symbols)]
    marks = [encode([{"type": "mark", "symbol": name, "price": PRICE}]) for name in names]
    made = [
        {
            "type": "order", "client_order_id": f"bench-{number:09d}", "desk": f"d{number % desks}",
            "symbol": f"s{number * 7919 // desks % symbols}", "side": "buy",
            "quantity": 1_000 + number % 1_000, "price": PRICE + number % 97, "venue": 10,
            "risk_bps": 200, "confidence_bps": 9_000,
        }
        for number in range(orders)
    ]  # fmt: skip
    return marks, [encode(made[at : at + ARRAY]) for at in range(0, orders, ARRAY)]


def replaces_of(desks: int, orders: int) -> list[bytes]:
    """Of each of these orders, in their turn."""
    made = [
        {
            "type": "replace", "client_order_id": f"again-{number:09d}",
            "desk": f"d{number % desks}",
            "original_client_order_id": f"bench-{number:09d}", "quantity": 1_001 + number % 1_000,
            "price": PRICE + number % 97, "order_type": "limit", "time_in_force": "day",
        }
        for number in range(orders)
    ]  # fmt: skip
    return [msgspec.msgpack.encode(made[at : at + ARRAY]) for at in range(0, orders, ARRAY)]


def first_of_each(desks: int, symbols: int) -> list[bytes]:
    """An order of each desk in each symbol: what limits count there is worked out for it."""
    made = [
        {
            "type": "order", "client_order_id": f"first-{desk}-{symbol}", "desk": f"d{desk}",
            "symbol": f"s{symbol}", "side": "buy", "quantity": 999, "price": PRICE, "venue": 10,
            "risk_bps": 200, "confidence_bps": 9_000,
        }
        for desk in range(desks)
        for symbol in range(symbols)
    ]  # fmt: skip
    return [msgspec.msgpack.encode(made[at : at + ARRAY]) for at in range(0, len(made), ARRAY)]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--desks", type=int, default=100)
    parser.add_argument("--symbols", type=int, default=100)
    parser.add_argument("--orders", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    say_what_is_measured()
    marks, orders = bodies_of(options.desks, options.symbols, options.orders)
    first = first_of_each(options.desks, options.symbols)
    sides = {
        name: config_of(options.desks, options.symbols, is_limited=name == "limits")
        for name in ("none", "limits")
    }
    replaces = replaces_of(options.desks, options.orders)
    spent: dict[str, list[float]] = {name: [] for name in sides}
    ratios: dict[str, list[float]] = {name: [] for name in sides}
    gc.disable()
    for _ in range(options.rounds):
        for name, config in sides.items():
            with tempfile.TemporaryDirectory() as directory:
                guard = Answered(config, directory)
                guard.answer(marks)
                guard.answer(first)
                took_ns = guard.answer(orders)
                rejects = guard.path.decided_counters()["rejects"]
                assert rejects == 0, f"{rejects} of {options.orders} orders were refused"
                spent[name].append(took_ns / options.orders / 1_000)
                ratios[name].append(guard.answer(replaces) / took_ns)
                rejects = guard.path.decided_counters()["rejects"]
                assert rejects == 0, f"{rejects} of {options.orders} replaces were refused"
                guard.writer.close()
            gc.collect()
    for name, figures in spent.items():
        low, middle, high = min(figures), statistics.median(figures), max(figures)
        replaced = statistics.median(ratios[name])
        print(
            f"{name:>8}: {middle:6.2f} us an order ({low:.2f} to {high:.2f}), "
            f"a replace {replaced:.2f} times that"
        )
    more = [one - other for one, other in zip(spent["limits"], spent["none"], strict=True)]
    middle = statistics.median(more)
    print(f"    more: {middle:6.2f} us an order ({min(more):.2f} to {max(more):.2f})")


if __name__ == "__main__":
    main()
