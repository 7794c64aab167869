"""Orders per second and latency of the real daemon over loopback, fsync before every reply.

One daemon process and this client, one order a message: first one order in flight (latency), then
`--in-flight` of them (throughput). Prints its conditions. Run it from an environment in which
pretrade-guard is installed:

    python tests/bench/bench_daemon.py [--orders N] [--in-flight N] [--directory DIR]
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import zmq

import kernel

CONFIG = Path(__file__).resolve().parents[2] / "configs" / "dev.toml"
REPLY_TIMEOUT_MS = 10_000


def order_body(number: int) -> bytes:
    """A small order that the policy admits."""
    return msgspec.msgpack.encode(
        {
            "type": "order",
            "client_order_id": f"bench-{number}",
            "desk": "desk-beta",
            "symbol": "BTC-USD",
            "side": "buy",
            "quantity": 1_000,
            "price": 619_000,
            "venue": 10,
            "risk_bps": 200,
            "confidence_bps": 9000,
        }
    )


def start_daemon(directory: str) -> tuple[subprocess.Popen[str], str]:
    """Starts a daemon on a free port; returns it and its endpoint."""
    daemon = subprocess.Popen(
        [
            *(sys.executable, "-m", "guard.cli", "run", "--config", str(CONFIG)),
            *("--log-dir", directory, "--orders", "tcp://127.0.0.1:*", "--ephemeral-key"),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert daemon.stdout is not None
    ready = daemon.stdout.readline()
    return daemon, ready.split("orders ")[1].split(",")[0]


def one_in_flight(socket: zmq.Socket[bytes], first: int, count: int) -> list[int]:
    """Sends one order after the other; returns each one's latency in nanoseconds."""
    latencies_ns = []
    for number in range(first, first + count):
        body = order_body(number)
        started_ns = time.perf_counter_ns()
        socket.send(body)
        socket.recv()
        latencies_ns.append(time.perf_counter_ns() - started_ns)
    return latencies_ns


def many_in_flight(
    socket: zmq.Socket[bytes], first: int, count: int, in_flight: int
) -> tuple[float, list[int]]:
    """Keeps `in_flight` orders under way; returns the seconds taken and each latency in ns."""
    bodies = [order_body(number) for number in range(first, first + count)]
    sent_ns = [0] * count
    latencies_ns = [0] * count
    started = time.perf_counter()
    sent = received = 0
    while received < count:
        while sent < count and sent - received < in_flight:
            sent_ns[sent] = time.perf_counter_ns()
            socket.send(bodies[sent])
            sent += 1
        socket.recv()  # replies come in the order of the requests
        latencies_ns[received] = time.perf_counter_ns() - sent_ns[received]
        received += 1
        while received < sent:
            try:
                socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                break
            latencies_ns[received] = time.perf_counter_ns() - sent_ns[received]
            received += 1
    return time.perf_counter() - started, latencies_ns


def show(title: str, latencies_ns: list[int]) -> None:
    """One line of percentiles, in microseconds."""
    cuts = statistics.quantiles(latencies_ns, n=1000)
    print(
        f"{title}: p50 {cuts[499] / 1e3:.0f} us, p99 {cuts[989] / 1e3:.0f} us, "
        f"p99.9 {cuts[998] / 1e3:.0f} us, max {max(latencies_ns) / 1e3:.0f} us"
    )


def cpu_seconds(process_id: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{process_id}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Runs both measurements and prints them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--orders", type=int, default=60_000)
    parser.add_argument("--in-flight", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--directory", help="where the log goes (default: a temporary directory)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        daemon, endpoint = start_daemon(directory)
        try:
            context = zmq.Context()
            socket = context.socket(zmq.DEALER)
            socket.setsockopt(zmq.RCVTIMEO, REPLY_TIMEOUT_MS)
            socket.setsockopt(zmq.LINGER, 0)
            socket.connect(endpoint)
            print(
                f"machine: {platform.machine()}, {os.cpu_count()} cores; Python "
                f"{platform.python_version()}; kernel {kernel.KERNEL_FORM}; keyed log, "
                f"fdatasync before every reply; one order a message, MessagePack"
            )
            one_in_flight(socket, 0, 500)  # warm-up
            first = 500
            show("1 in flight", one_in_flight(socket, first, 3_000))
            first += 3_000
            for _ in range(options.rounds):
                cpu_before = cpu_seconds(daemon.pid)
                seconds, latencies_ns = many_in_flight(
                    socket, first, options.orders, options.in_flight
                )
                cpu = cpu_seconds(daemon.pid) - cpu_before
                print(
                    f"{options.in_flight} in flight: {options.orders / seconds:,.0f} orders/s, "
                    f"daemon {cpu / options.orders * 1e6:.1f} us CPU an order"
                )
                show("  latency", latencies_ns)
                first += options.orders
            context.destroy(linger=0)
        finally:
            daemon.terminate()
            daemon.wait(timeout=20)


if __name__ == "__main__":
    main()
