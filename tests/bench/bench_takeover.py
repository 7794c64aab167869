"""Times how long orders go without an answer when a standby is told to take over.

    python tests/bench/bench_takeover.py [--records N] [--times N]

Three nodes of PostgreSQL and two guards of one log, all on this machine. The log is given so many
records first; then, with orders under way all the time, the guard that
stands by is told to take over (SIGUSR1), and the other one stands by again once it has ended. What
is measured: from the signal until an order is answered that the new guard was sent; beside it, what
the new guard says of its own steps (standard error, with times), for the slowest one.
"""

import argparse
import random
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "cluster"))

from measured import say_what_is_measured

from cluster_support import running_cluster
from protocol_client import ProtocolClient, order
from torture import Torture

ORDERS_A_MESSAGE = 200
MESSAGES_UNDER_WAY = 4


def fill(endpoint: str, records: int) -> None:
    """Has so many orders decided, in messages of many."""
    client = ProtocolClient(endpoint)
    numbers = range(0, records, ORDERS_A_MESSAGE)
    for sent, first in enumerate(numbers):
        client.send([order(f"F-{first + at}", quantity=1) for at in range(ORDERS_A_MESSAGE)])
        if sent >= MESSAGES_UNDER_WAY:
            client.receive()
    for _ in range(min(MESSAGES_UNDER_WAY, len(numbers))):
        client.receive()


def main() -> None:
    """Measures, and says what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--times", type=int, default=10)
    options = parser.parse_args()
    say_what_is_measured()
    with running_cluster() as cluster, tempfile.TemporaryDirectory() as name:
        root = Path(name)
        torture = Torture(cluster, root, random.Random(1), "")
        try:
            torture.hosts[0].start("run", "--new-log")
            torture.until(lambda: bool(torture.load.serving), "the first guard")
            fill(torture.load.serving, options.records)
            torture.stand_by(torture.hosts[1])
            slowest, words = 0.0, ""
            for _ in range(options.times):
                torture.rest(1.0)
                torture.guard_told()
                took = torture.takeovers[-1][1]
                print(f"  {took:6.2f} s", flush=True)
                if took > slowest:
                    guard = torture.serving.guard
                    assert guard is not None
                    slowest, words = took, guard.stderr
                torture.mend()
        finally:
            for host in torture.hosts:
                host.end()
    times = [seconds for _, seconds in torture.takeovers]
    print(f"  median {statistics.median(times):.2f} s, at most {max(times):.2f} s")
    print(words)


if __name__ == "__main__":
    main()
