"""What subscribers of the feed cost the orders: with so many and with none, in turn.

    python tests/bench/bench_feed.py [--rate 20000] [--subscribers 3] [--tools] [--seconds 10]
        [--rounds 5]

Each round has a fresh daemon and measures both, now the one first, now the other. The subscribers
are stock DEALERs, in one process beside the load generator, that read what comes and give credit,
and miss nothing. On a machine that others use, too, many short rounds say more than few long ones:
what is compared is each round's two, the median of that and its spread. The processor time is the
daemon's own, of all of its threads, an order; on few cores the time of answers has the subscribers'
own work in it, too.

`--tools`: `tail`, `observe` and `top` (in a terminal of its own) watch as well. Where there are
fewer cores than processes, `--idle` gives all who watch only what the daemon and the load leave,
and the turns without any have as many processes that read lines of no guard: a core beside one that
works is slower, whoever works there, and what is asked is what the watching adds.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import pty
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zmq
from measured import say_what_is_measured

from guard.bench.conditions import processor
from guard.bench.generator import Plan
from guard.bench.measure import Measured, measure
from guard.bench.schedule import NS_PER_S
from guard.bench.site import Guard, config_text
from guard.process import own_process

WARM_UP_S = 2.0
CREDIT_LINES = 1_000_000
PATIENCE_MS = 60_000
CLIENTS = 4
TOOLS_READY_S = 4.0
TOOL_STOP_S = 20.0


def take_what_is_left() -> None:
    """From now on this process runs only where a core has nothing else to do."""
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def follow(endpoint: str, count: int, ready: Any, last: Any, idle: bool) -> None:
    """Reads what comes on so many connections, up to the record that it is told in the end."""
    if idle:
        take_what_is_left()
    poller, through, got = zmq.Poller(), dict[Any, int](), dict[Any, int]()
    for _ in range(count):
        socket = zmq.Context.instance().socket(zmq.DEALER)
        socket.set(zmq.LINGER, 0)
        socket.set(zmq.RCVHWM, 0)
        socket.connect(endpoint)
        socket.recv()
        socket.send_json({"type": "subscribe", "after_sequence": 0, "credit_lines": CREDIT_LINES})
        poller.register(socket, zmq.POLLIN)
        through[socket] = got[socket] = 0
    ready.set()
    end: int | None = None
    while end is None or min(through.values()) < end:
        if end is None and last.poll(0):
            end = last.recv()
        for socket, _ in poller.poll(100 if end is None else PATIENCE_MS):
            frames = socket.recv_multipart()
            message = json.loads(frames[0])
            if message["type"] == "lines":
                if message["after_sequence"] != through[socket]:
                    raise SystemExit(f"a gap behind {through[socket]}: {message}")
                through[socket] = message["through_sequence"]
                got[socket] += len(frames[1])
                if message["credit_lines"] < CREDIT_LINES // 2:
                    socket.send_json({"type": "credit", "credit_lines": CREDIT_LINES // 2})
    last.send(sorted(got.values()))


def read_of_nobody() -> None:
    """What a subscriber does with a line, for as long as the process lives."""
    take_what_is_left()
    line = json.dumps(
        {"wal_sequence": 1, "payload": {"type": "order", "desk": "d"}, "hash": "0" * 64}
    )
    while True:
        json.loads(line)


@contextlib.contextmanager
def strangers(count: int) -> Iterator[None]:
    """As many processes as would watch, that have nothing to do with the guard."""
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=read_of_nobody, daemon=True) for _ in range(count)]
    try:
        for process in processes:
            process.start()
        time.sleep(TOOLS_READY_S)
        yield
    finally:
        for process in processes:
            process.terminate()
            process.join()


def drain(terminal: int) -> None:
    """Reads what a terminal is shown, until it is gone."""
    with contextlib.suppress(OSError):  # the other end is closed
        while os.read(terminal, 65_536):
            pass


@contextlib.contextmanager
def tools(guard: Guard, endpoint: str, idle: bool) -> Iterator[None]:
    """`tail`, `observe` and `top`, as a desk would run them beside its guard."""
    ours, theirs = pty.openpty()
    reader = threading.Thread(target=drain, args=(ours,), daemon=True)
    reader.start()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"}
    log, before = str(guard.log), take_what_is_left if idle else None
    quiet: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    shown: dict[str, Any] = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    started = [
        own_process.start("guard.cli", *arguments, preexec_fn=before, env=environment, **streams)
        for arguments, streams in (
            (("tail", log, "--columns"), quiet),
            (("observe", "--log", log, "--feed", endpoint, "--listen", "127.0.0.1:0"), quiet),
            (("top", "--log", log, "--feed", endpoint), shown),
        )
    ]
    try:
        time.sleep(TOOLS_READY_S)
        yield
        ended = [tool.args for tool in started if tool.poll() is not None]
        if ended:
            raise SystemExit(f"ended meanwhile: {ended}")
    finally:
        for tool in started:
            tool.terminate()
        for tool in started:
            tool.wait(TOOL_STOP_S)
        os.close(theirs)
        reader.join(TOOL_STOP_S)
        os.close(ours)


@dataclass
class Figures:
    """Of the rounds."""

    cpu_us: list[float] = field(default_factory=list)
    p50_us: list[float] = field(default_factory=list)
    p99_us: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)

    def add(self, measured: Measured) -> None:
        self.cpu_us.append(sum(measured.cpu_us_a_request("daemon").values()))
        self.p50_us.append(measured.latency.percentile(50_000) / 1e3)
        self.p99_us.append(measured.latency.percentile(99_000) / 1e3)
        self.rates.append(measured.requests_a_second)


def run(
    guard: Guard, plan: Plan, endpoint: str, subscribers: int, options: argparse.Namespace
) -> Measured:
    """One load, with so many subscribers."""
    if subscribers == 0:
        with strangers((4 if options.tools else 1) if options.idle else 0):
            return measure(plan, 1, {"daemon": guard.process_id})
    context = multiprocessing.get_context("spawn")
    ready, (ours, theirs) = context.Event(), context.Pipe()
    process = context.Process(
        target=follow, args=(endpoint, subscribers, ready, theirs, options.idle)
    )
    process.start()
    try:
        if not ready.wait(PATIENCE_MS / 1e3):
            raise SystemExit("the subscribers were not ready")
        with tools(guard, endpoint, options.idle) if options.tools else contextlib.nullcontext():
            measured = measure(plan, 1, {"daemon": guard.process_id})
        lines = [path.read_bytes().rstrip(b"\0") for path in sorted(guard.log.glob("*.jsonl"))]
        ours.send(sum(part.count(b"\n") for part in lines))
        got = ours.recv()
        if min(got) < sum(map(len, lines)):  # a checkpoint's record may have come since
            raise SystemExit(f"{got} bytes came; the log has {sum(map(len, lines))}")
        return measured
    finally:
        process.terminate()
        process.join()


def measure_both(options: argparse.Namespace, turn: int, figures: dict[int, Figures]) -> None:
    counts = sorted(figures, reverse=turn % 2 == 1)
    for number, count in enumerate(counts):
        with tempfile.TemporaryDirectory(prefix="bench-feed-", dir=options.directory) as place:
            endpoint = f"ipc://{place}/feed"
            more = f'feed = "{endpoint}"\nadmin = "beside-log"\n[log]'
            text = config_text(1, 3, 2_000_000).replace("[log]", more, 1)
            guard = Guard(Path(place), text)
            try:
                plan = Plan(
                    "guard",
                    guard.endpoint,
                    f"{turn}-{number}",
                    tuple(range(CLIENTS)),
                    int((options.seconds + WARM_UP_S) * NS_PER_S),
                    int(WARM_UP_S * NS_PER_S),
                    options.in_flight,
                    None if options.in_flight else options.rate,
                )
                figures[count].add(run(guard, plan, endpoint, count, options))
            finally:
                guard.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=int, default=20_000)
    parser.add_argument("--in-flight", type=int, help="a closed loop instead")
    parser.add_argument("--subscribers", type=int, default=3)
    parser.add_argument("--tools", action="store_true", help="tail, observe and top watch, too")
    parser.add_argument("--idle", action="store_true", help="who watches takes what is left")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=5, help="two or more")
    parser.add_argument("--directory", help="where the temporary log goes")
    options = parser.parse_args()
    if options.rounds < 2:
        parser.error(f"--rounds: {options.rounds} is not allowed; allowed: from 2 on")
    say_what_is_measured()
    print(f"machine   {processor()}")
    figures = {count: Figures() for count in (0, options.subscribers)}
    for turn in range(options.rounds):
        measure_both(options, turn, figures)
        print(f"round {turn + 1}", *(f"{one.cpu_us[-1]:.2f} us" for one in figures.values()))
    print(f"{'subscribers':<12} {'orders/s':>9} {'cpu us':>8} {'p50 us':>8} {'p99 us':>8}")
    for count, one in figures.items():
        columns = (one.rates, one.cpu_us, one.p50_us, one.p99_us)
        middle = [statistics.median(each) for each in columns]
        print(f"{count:<12} {middle[0]:9.0f} {middle[1]:8.2f} {middle[2]:8.0f} {middle[3]:8.0f}")
    none, some = figures[0], figures[options.subscribers]
    for name, before, after in (
        ("processor time an order", none.cpu_us, some.cpu_us),
        ("p99", none.p99_us, some.p99_us),
    ):
        each = [100 * (b / a - 1) for a, b in zip(before, after, strict=True)]
        low, middle, high = statistics.quantiles(each, n=4, method="inclusive")
        half = f"half of the rounds {low:+.1f} to {high:+.1f}"
        print(f"{name}: {middle:+.1f} % ({half}, all {min(each):+.1f} to {max(each):+.1f})")


if __name__ == "__main__":
    main()
