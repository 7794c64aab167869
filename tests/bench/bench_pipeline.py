"""What the daemon's main thread pays for an order beside deciding it, by stage, in CPU time.

Receive, append, hand over, send: the real door over loopback, the real log writer, a client
process of its own that floods. No order is decided: a constant record and a constant reply stand
for what the engine makes. Prints microseconds of the calling thread a message, best of the rounds,
and its conditions. Run it from an environment in which pretrade-guard is installed:

    python tests/bench/bench_pipeline.py [--messages N] [--rounds N]
"""

import argparse
import itertools
import multiprocessing
import os
import platform
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import sleep, thread_time_ns
from typing import Any

import zmq
from measured import say_what_is_measured

from guard.server.listener import Listener
from guard.server.policy import Policy
from guard.server.zmtp import Limits
from wal import EMPTY_HEAD, ChainHasher, LogWriter

RECORD = b'{"a":"' + b"x" * 1_180 + b'"}'  # as long as an order's
BODY = b"b" * 160
REPLY = b"r" * 150
BATCH_MESSAGES = 64
ARRIVAL_S = 1.0  # for the flood to stand in the daemon's queues


def flood(endpoint: str, messages: int) -> None:
    """A client that sends everything and then reads as many replies."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.setsockopt(zmq.SNDHWM, 0)
    socket.setsockopt(zmq.RCVHWM, 0)
    socket.connect(endpoint)
    for _ in range(messages):
        socket.send(BODY)
    for _ in range(messages):
        socket.recv()
    context.destroy(linger=0)


def timed(stages: dict[str, list[float]], name: str, count: int, call: Callable[[], Any]) -> Any:
    """Runs `call`, notes the thread's microseconds for each of `count`."""
    started_ns = thread_time_ns()
    result = call()
    stages.setdefault(name, []).append((thread_time_ns() - started_ns) / count / 1e3)
    return result


def one_round(stages: dict[str, list[float]], messages: int, directory: Path) -> None:
    """One flood through a fresh door and a fresh log."""
    door = Listener(["tcp://127.0.0.1:*"], Policy(Limits(262_144, 4_194_304, 4_096), 16))
    # A fork: this very process, whatever is installed.
    fork = multiprocessing.get_context("fork")
    client = fork.Process(target=flood, args=(door.endpoint, messages))
    client.start()
    sleep(ARRIVAL_S)
    writer = LogWriter.open(
        directory, ChainHasher(bytes(32)), EMPTY_HEAD, monotonic_ns=itertools.count().__next__
    )
    received: list[Any] = []
    replies: list[tuple[Any, bytes, bytes]] = []

    def receive_batch() -> None:
        del received[:]
        while len(received) < BATCH_MESSAGES:
            message = door.receive()
            if message is None:
                door.begin_turn()
            else:
                received.append(message)

    def append_batch() -> None:
        sequence = writer.staged_head.sequence
        for number in range(BATCH_MESSAGES):
            writer.append(sequence + 1 + number, RECORD, is_encoded=True)

    def send_batch() -> None:
        door.send_all(replies, bytes)

    taken: dict[str, list[float]] = {}
    try:
        for _ in range(messages // BATCH_MESSAGES):
            timed(taken, "receive", BATCH_MESSAGES, receive_batch)
            timed(taken, "append", BATCH_MESSAGES, append_batch)
            timed(taken, "write and sync (on this thread)", BATCH_MESSAGES, writer.sync_now)
            replies[:] = [(*message[:2], REPLY) for message in received]
            timed(taken, "send", BATCH_MESSAGES, send_batch)
        for name, each in taken.items():
            stages.setdefault(name, []).append(sorted(each)[len(each) // 2])
        client.join(timeout=20)
        assert client.exitcode == 0
    finally:
        writer.close()
        door.close()


def main() -> None:
    """Runs the rounds and prints the best of each stage's medians."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--messages", type=int, default=12_800)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    say_what_is_measured()
    print(
        f"machine: {platform.machine()}, {os.cpu_count()} cores; Python "
        f"{platform.python_version()}; record {len(RECORD)} bytes, batches of {BATCH_MESSAGES}; "
        "CPU of the calling thread, medians of batches, best and worst round"
    )
    stages: dict[str, list[float]] = {}
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as directory:
            one_round(stages, options.messages, Path(directory))
    for name, each in stages.items():
        print(f"{name}: {min(each):.2f} us a message ({max(each):.2f})")


if __name__ == "__main__":
    main()
