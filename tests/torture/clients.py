"""Clients that are killed, closed, reset and replaced, under load and disk stalls, and a good one.

    python tests/torture/clients.py [--clients N] [--seconds S] [--seed S] [--door NAME]
        [--only ATTACK ...] [--peers ATTACK=N ...] [--descriptors N] [--alone-seconds S]
        [--messages-per-s R]

`README.md` beside this says who they are and what must hold. It ends by itself, prints its seed,
and ends only processes that it started. Exit 0: every promise was kept; 1: one was not (the log is
left where the message says).
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from crowd_control import Fray, Plan
from doors import DOOR, DOORS
from raw_peers import ATTACKS

from daemon_support import Daemon, config_text, event_of
from protocol_client import PING, STATS, ProtocolClient
from stall_support import ShimSite, build_shim

DESKS = {
    "desk-alpha": ("2000000.00", "1500000.00"),
    "desk-beta": ("90000000000.00", "none"),
    "desk-good": ("90000000000.00", "none"),
}
GOOD_DESK = b'"desk":"desk-good"'
JUDGED_S = 600.0  # for `verify` and `replay` of half a million records, beside other work
SETTLED_S = 60.0  # for the daemon to be through with what dead clients had sent
COUNTERS = (
    *("messages", "requests", "request_errors", "records", "pauses", "messages_discarded"),
    *("replies_dropped_slow", "replies_dropped_gone", "connections_refused", "holds"),
    *("backlog_bytes", "ahead_bytes", "sync_latency_ns_max"),
)


def make_site(root: Path) -> ShimSite:
    shim = build_shim(root)
    if shim is None:
        raise SystemExit("no C compiler to build the disk's shim with")
    site = ShimSite(root, shim, config_text(desks=DESKS))
    del site.environment["JUMP_FILE"]  # a clock that never jumps is read as fast as any
    return site


def measure_alone(root: Path, plan: Plan, seconds: float) -> Fray:
    """The good client under the same stalls, nobody else there."""
    root.mkdir()
    site = make_site(root)
    with site.running(environment=site.environment) as daemon:
        fray = Fray(site, daemon, plan.alone(seconds))
        with fray:
            fray.run()
        assert daemon.stop() == 0, daemon.stderr
    return fray


def settle(client: ProtocolClient) -> dict[str, int]:
    """The daemon's counters, when nothing of anybody is under way any more."""
    deadline = time.monotonic() + SETTLED_S
    while True:
        counters: dict[str, int] = client.ask(STATS)["counters"]
        if not counters.get("ahead_bytes") and not counters.get("backlog_bytes"):
            return counters
        assert time.monotonic() < deadline, f"still under way after {SETTLED_S} s: {counters}"
        time.sleep(0.1)


def check_memory(plan: Plan, fray: Fray, daemon: Daemon, counters: dict[str, int]) -> None:
    after = daemon.resident_bytes()
    bound = plan.door.growth_bytes_max(plan.clients, counters["remembered_orders"])
    before, peak = fray.bytes_before, fray.bytes_peak
    mib = 1024 * 1024
    print(
        f"memory: {before / mib:.0f} MiB before, {peak / mib:.0f} at the peak, {after / mib:.0f} "
        f"after; {counters['remembered_orders']} orders are remembered; "
        f"growth allowed: {bound / mib:.0f} MiB"
    )
    assert peak - before <= bound, f"grown by {(peak - before) / mib:.0f} MiB"


def check_log(site: ShimSite, fray: Fray) -> None:
    """It verifies and replays, and has each of the good client's orders once."""
    head = site.verify(JUDGED_S)["head_sequence"]
    site.replay(JUDGED_S)
    found: dict[str, int] = {}
    for segment in site.segments:
        for line in segment.read_bytes().splitlines():
            if GOOD_DESK in line:  # no need to decode everybody's
                record = json.loads(line)
                event = event_of(record["data"])
                if event["event"] == "order":
                    name = event["order"]["client_order_id"]
                    assert name not in found, line
                    found[name] = record["sequence"]
    assert found == fray.good.orders, "the good client's orders and the log differ"
    print(f"the log of {head} records verifies and replays; {len(found)} good orders, each once")


def say_latencies(name: str, fray: Fray) -> None:
    """With how long the daemon's loop waited for a processor: that is the machine's share in it."""
    ordered = sorted(fray.good.latencies_ns)

    def at(share: float) -> str:
        return f"{ordered[min(len(ordered) - 1, int(share * len(ordered)))] / 1e6:.2f}"

    print(
        f"good client, {name}: {len(ordered)} requests, "
        f"p50 {at(0.5)} ms, p90 {at(0.9)}, p99 {at(0.99)}, max {at(1)}; the daemon's loop ran "
        f"{fray.ran_ns / 1e9:.1f} s and waited {fray.waited_ns / 1e9:.1f} s for a processor"
    )


def torture(root: Path, plan: Plan, alone_seconds: float) -> None:
    """One daemon, all of it. Raises AssertionError where a promise was broken."""
    alone = measure_alone(root / "alone", plan, alone_seconds) if alone_seconds else None
    place = root / "fray"
    place.mkdir()
    site = make_site(place)
    with site.running(environment=site.environment, wrapper=plan.wrapper) as daemon:
        fray = Fray(site, daemon, plan)
        with fray:
            fray.run()
        print(fray.counts_text())
        if alone is not None:
            say_latencies("alone", alone)
        say_latencies("among them", fray)
        with ProtocolClient(daemon.endpoint) as late:
            assert late.ask(PING)["type"] == "pong"
            counters = settle(late)
        print(", ".join(f"{name} {counters[name]}" for name in COUNTERS if name in counters))
        check_memory(plan, fray, daemon, counters)
        assert daemon.stop() == 0, daemon.stderr
        assert "Traceback" not in daemon.stderr, daemon.stderr
    check_log(site, fray)
    if plan.descriptors:
        assert len(site.segments) > 1, "no segment could be begun"
        assert list(site.log.glob("*.ckpt")), "no checkpoint could be written"


def read_peers(text: str) -> tuple[str, int]:
    name, _, count = text.partition("=")
    if name not in ATTACKS or not count.isdecimal():
        raise argparse.ArgumentTypeError(
            f"{text!r} is not allowed; allowed: ATTACK=N, and as ATTACK {', '.join(ATTACKS)}"
        )
    return name, int(count)


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Kill, close and reset clients of one guard.")
    parser.add_argument("--clients", type=int, default=2_000, help="at a time (default 2000)")
    parser.add_argument("--seconds", type=float, default=60.0, help="(default 60)")
    parser.add_argument("--alone-seconds", type=float, default=20.0, help="of the comparison")
    parser.add_argument("--messages-per-s", type=float, default=500.0, help="of stock clients")
    parser.add_argument("--seed", type=int, default=random.randrange(1, 2**32))
    parser.add_argument("--door", choices=DOORS, default=DOOR, help=f"(default {DOOR})")
    parser.add_argument(
        "--only", nargs="+", choices=ATTACKS, metavar="ATTACK", help=", ".join(ATTACKS)
    )
    parser.add_argument(
        "--peers", nargs="+", default=[], type=read_peers, metavar="ATTACK=N",
        help="so many of these, instead of a share of the plain sockets",
    )  # fmt: skip
    parser.add_argument(
        "--descriptors", type=int, default=0, help="the daemon may have; for the attack crowding"
    )
    return parser.parse_args()


def main() -> int:
    options = read_options()
    print(f"seed {options.seed}", flush=True)
    door = DOORS[options.door]
    for name, reason in door.cannot_hold.items():
        print(f"left out, since the {options.door} door cannot hold it: {name} ({reason})")
    plan = Plan(
        door=door,
        clients=options.clients,
        seconds=options.seconds,
        messages_per_s=options.messages_per_s,
        attacks=tuple(options.only or door.attacks),
        has_stock=options.only is None,
        seed=options.seed,
        descriptors=options.descriptors,
        peers=dict(options.peers),
    )
    root = Path(tempfile.mkdtemp(prefix="torture-clients-"))
    try:
        torture(root, plan, options.alone_seconds)
    except AssertionError as broken:
        print(f"BROKEN (seed {options.seed}, kept in {root}): {broken}")
        return 1
    shutil.rmtree(root)
    print("every promise was kept: alive, bounded, and the good client answered")
    return 0


if __name__ == "__main__":
    sys.exit(main())
