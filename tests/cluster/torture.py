"""Guards and PostgreSQL's nodes, killed and halted again and again; an oracle over every answer.

    python tests/cluster/torture.py [--rounds N] [--seed S] [--faults NAME ...]

Two hosts of one log, three nodes of PostgreSQL, all real processes on this machine. Orders, queries
and pings go to whoever serves, many under way at once, and what is unanswered is sent again to
whoever serves next; every socket is listened to until the end, for an answer of a guard that is no
longer the one. Each round does one thing (`FAULTS`), waits until orders are answered again, and
mends what it broke. The processes that it ends are those it started.

It ends with exit code 0 only if, in the end, against the rows of the cluster and a replay of the
local log: every answer to an order is the first one, and stands in the log where it says; no order
is in the log twice; no ping and no query showed less than had been answered when it was sent, and
every head that a ping named is the log's; the rows are the segments, byte for byte, and the log
replays. `--mutant NAME` breaks the guards on purpose (`mutant.py`): then it must end with 1.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from load import IN_FLIGHT, Load
from standby_watch import StandbyWatch

from cluster_support import DATABASE, Cluster, running_cluster
from daemon_support import Daemon, Site, config_text, tool

MUTANT_SCRIPT: Final = Path(__file__).resolve().parent / "mutant.py"
LOG: Final = "torture"
CALM_ANSWERS: Final = 60
ASKED_SHARE: Final = 0.1  # of looks, in which a standby is asked
SHOWS: Final = "answers what it knows: "
PATIENCE_S: Final = 60.0
CATCH_UP_S: Final = 240.0  # a standby folds its log, perhaps twice, and then what has come since
DESKS: Final = {"desk-alpha": ("1000000000.00", "none")}
TIMES: Final = {"beat_ms": 100, "silence_ms": 600, "unknown_after_ms": 3_000}


class Host:
    """One host of the log: its site, and its guard if one runs."""

    def __init__(self, cluster: Cluster, root: Path, name: str) -> None:
        (root / name).mkdir()
        section = cluster.section(LOG, takeover="silent", **TIMES)
        self.name = name
        self.text = config_text(desks=DESKS) + section
        self.site = Site(root / name, self.text)
        self.inside: tuple[str, ...] = ()  # what becomes the guard, on a host of its own
        self.skew: tuple[str, ...] = ()  # and where that one's clock is off
        self.mutant = ""
        self.guard: Daemon | None = None
        self.said = b""

    def start(self, *command: str) -> None:
        """Starts a guard; `run ...` or `standby`."""
        site = self.site
        site.started += 1
        places = ("--config", str(site.config), "--log-dir", str(site.log))
        arguments = [*command, *places, "--key-file", str(site.key_file)]
        mutant = (sys.executable, str(MUTANT_SCRIPT), self.mutant) if self.mutant else ()
        wrapper = (*self.inside, *self.skew, *mutant)
        self.guard = Daemon(arguments, site.root / f"stderr-{site.started}", wrapper=wrapper)
        assert self.guard.process.stdout is not None
        os.set_blocking(self.guard.process.stdout.fileno(), False)
        self.said = b""

    def endpoint(self) -> str:
        """Where it serves, once it does; else nothing."""
        if self.guard is None or self.guard.process.stdout is None:
            return ""
        self.said += self.guard.process.stdout.read() or b""
        text = self.said.decode()
        if "ready: orders " not in text or not text.endswith("\n"):
            return ""
        return text.split("ready: orders ", 1)[1].split(",", 1)[0]

    def shows_at(self) -> str:
        """Where it answers what it knows while it stands by, once it does; else nothing."""
        if self.endpoint() or SHOWS not in self.said.decode():
            return ""
        return self.said.decode().split(SHOWS, 1)[1].split(",", 1)[0].split("\n", 1)[0]

    def runs(self) -> bool:
        """Is its process there?"""
        return self.guard is not None and self.guard.process.poll() is None

    def end(self) -> None:
        """SIGKILL, if it runs."""
        if self.guard is not None:
            if self.runs():
                self.guard.signal(signal.SIGCONT)
            self.guard.kill()
            self.guard = None


class Torture:
    """One run."""

    def __init__(self, cluster: Cluster, root: Path, draw: random.Random, mutant: str) -> None:
        self.cluster = cluster
        self.draw = draw
        self.hosts = [self.host(root, name) for name in ("one", "two")]
        self.load = Load(draw)
        self.watch = StandbyWatch(self.load.answers, draw)
        for host in self.hosts:
            host.mutant = mutant
        self.takeovers: list[tuple[str, float]] = []

    def host(self, root: Path, name: str) -> Host:
        """One of the two."""
        return Host(self.cluster, root, name)

    @property
    def serving(self) -> Host:
        """The host whose guard was ready last and serves."""
        running = (host for host in self.hosts if host.runs())
        return next(host for host in running if host.endpoint() == self.load.serving)

    def until(
        self, condition: Callable[[], bool], what: str, patience_s: float = PATIENCE_S
    ) -> None:
        """Has the load go on until the condition holds."""
        end = time.monotonic() + patience_s
        while not condition():
            if time.monotonic() > end:
                said = [host.guard.stderr for host in self.hosts if host.guard is not None]
                raise TimeoutError(f"{what}: not in {patience_s} s\n" + "\n".join(said))
            self.look()
            self.load.turn()

    def look(self) -> None:
        """Finds who serves now."""
        for host in self.hosts:
            endpoint = host.endpoint()
            if endpoint and endpoint not in self.load.sockets:
                self.load.serve_at(endpoint)
            shown = host.shows_at() if host.runs() else ""
            if shown and self.draw.random() < ASKED_SHARE:
                self.watch.ask(shown)
        self.watch.look(self.load.newest)

    def calm(self) -> None:
        """Until so many further orders are answered."""
        wanted = len(self.load.answers) + CALM_ANSWERS
        self.until(lambda: len(self.load.answers) >= wanted, "answers")

    def begin(self) -> None:
        """One guard serves, the other one stands by."""
        self.hosts[0].start("run", "--new-log")
        self.until(lambda: bool(self.load.serving), "the first guard")
        self.stand_by(self.hosts[1])

    def stand_by(self, host: Host) -> None:
        """Has a host's guard follow, until it has caught up and shows what it has."""
        host.start("standby")

        def is_up() -> bool:  # or it has taken over already
            return bool(host.shows_at() or host.endpoint()) or not host.runs()

        self.until(is_up, "a standby", CATCH_UP_S)

    def timed_takeover(self, name: str, after: float) -> None:
        """Until another guard has answered something that is new."""
        before, count = self.load.serving, len(self.load.answers)
        self.until(lambda: self.load.serving != before, f"takeover ({name})")
        count = len(self.load.answers)
        self.until(lambda: len(self.load.answers) > count, f"answers ({name})")
        self.takeovers.append((name, time.monotonic() - after))

    def mend(self) -> None:
        """All nodes run and follow the primary, one guard serves, the other one stands by."""
        for node in self.cluster.nodes.values():
            if node.process is None:
                if node.is_foreign(self.cluster.primary):
                    self.cluster.renew(node)
                else:
                    node.start()
        self.cluster.wait_for_standbys(2)
        for host in self.hosts:
            if not host.runs():
                host.end()
                self.stand_by(host)

    def finish(self) -> list[str]:
        """The load's end, a clean stop, and what the oracle finds wrong."""
        end = time.monotonic() + PATIENCE_S
        while self.load.waiting and time.monotonic() < end:
            self.look()
            self.load.listen()
        wrong = [*self.load.wrong, *self.watch.wrong]
        if self.load.waiting:
            wrong.append(f"{len(self.load.waiting)} orders were never answered")
        last = self.serving
        for host in self.hosts:
            if host is not last:
                host.end()
        assert last.guard is not None
        if last.guard.stop() != 0:
            wrong.append(f"no clean stop: {last.guard.stderr}")
        self.load.listen()
        return wrong + self.judge(last.site)

    def judge(self, site: Site) -> list[str]:
        """Every answer against the log."""
        wrong = []
        for command in ("verify", "replay"):
            done = tool(command, str(site.log), "--key-file", str(site.key_file), "--json")
            if done.returncode:
                wrong.append(f"{command}: {done.stdout} {done.stderr}")
        rows = self.cluster.primary.sql(
            "SELECT encode(lines, 'hex') FROM pretrade_guard.batches ORDER BY first_sequence",
            DATABASE,
        )
        lines = bytes.fromhex("".join(rows.split()))
        if lines != b"".join(path.read_bytes() for path in site.segments):
            wrong.append("the rows are not the segments")
        hashes: dict[int, str] = {}
        holders: dict[str, list[int]] = {}
        for line in lines.splitlines():
            record = json.loads(line)
            hashes[record["sequence"]] = record["entry_hash"]
            event = record["data"].get("metadata", record["data"])
            if event["event"] in ("order", "order_refused"):
                name = event["order"]["client_order_id"]
                holders.setdefault(name, []).append(record["sequence"])
        for name, answer in self.load.answers.items():
            if holders.get(name) != [answer["wal_sequence"]]:
                wrong.append(
                    f"{name}: answered with {answer}, and in the log at {holders.get(name)}"
                )
        for sequence, entry_hash in self.load.heads:
            if hashes.get(sequence) != entry_hash:
                wrong.append(
                    f"a ping named head {sequence} {entry_hash}, which the log does not have"
                )
        return wrong

    # What is done in a round. Each begins with everything well.

    def guard_killed(self) -> None:
        """SIGKILL to the serving guard: the standby takes over by itself."""
        host = self.serving
        assert host.guard is not None
        host.guard.signal(signal.SIGKILL)
        self.timed_takeover("guard_killed", time.monotonic())

    def guard_told(self) -> None:
        """The standby is told to take over, and the one that serves ends."""
        host = self.serving
        other = next(each for each in self.hosts if each is not host)
        assert other.guard is not None
        other.guard.signal(signal.SIGUSR1)
        self.timed_takeover("guard_told", time.monotonic())
        self.until(lambda: not host.runs(), "the end of a guard that was replaced")

    def guard_slept(self) -> None:
        """SIGSTOP to the serving guard, takeover, SIGCONT: it must end."""
        host = self.serving
        assert host.guard is not None
        host.guard.signal(signal.SIGSTOP)
        asleep = self.load.serving
        self.timed_takeover("guard_slept", time.monotonic())
        for _ in range(10):
            self.load.ask(asleep)  # of who has not heard of the takeover
        self.rest(0.2)
        host.guard.signal(signal.SIGCONT)
        self.until(lambda: not host.runs(), "the end of a guard that slept")

    def idle_guard_slept(self) -> None:
        """The same with nothing under way: what it is asked while it sleeps stands on no record."""
        self.load.is_idle = True
        self.until(lambda: not self.load.waiting, "an idle guard")
        self.guard_slept()

    def standby_node_killed(self) -> None:
        """SIGKILL to one of PostgreSQL's standbys: nobody notices."""
        nodes = [node for node in self.cluster.nodes.values() if node is not self.cluster.primary]
        self.draw.choice(nodes).kill()
        self.calm()

    def both_standby_nodes_killed(self) -> None:
        """SIGKILL to both: nobody is answered until one is there again."""
        for node in self.cluster.nodes.values():
            if node is not self.cluster.primary:
                node.kill()
        self.rest(self.draw.uniform(0.1, 1.5))

    def primary_killed(self) -> None:
        """SIGKILL to the primary, which is started again."""
        self.cluster.primary.kill()
        self.rest(self.draw.uniform(0.0, 1.0))
        self.cluster.primary.start()
        self.calm()

    def primary_replaced(self) -> None:
        """SIGKILL to the primary; the standby that has the most is promoted."""
        dead = self.cluster.primary
        dead.kill()
        started = time.monotonic()
        self.rest(self.draw.uniform(0.0, 0.5))
        self.cluster.promote(self.cluster.latest_standby())
        count = len(self.load.answers)
        self.until(lambda: len(self.load.answers) > count + IN_FLIGHT, "answers")
        self.takeovers.append(("primary_replaced", time.monotonic() - started))

    def primary_slept_and_replaced(self) -> None:
        """SIGSTOP to the primary and all its processes; another node is promoted; SIGCONT: for a
        while there are two that take writes, and the old one has nobody who confirms a commit."""
        asleep = self.cluster.primary
        asleep.signal_all(signal.SIGSTOP)
        started = time.monotonic()
        try:
            self.cluster.promote(self.cluster.latest_standby())
            count = len(self.load.answers)
            self.until(lambda: len(self.load.answers) > count + IN_FLIGHT, "answers")
            self.takeovers.append(("primary_slept_and_replaced", time.monotonic() - started))
        finally:
            asleep.signal_all(signal.SIGCONT)
        self.rest(1.0)
        asleep.kill()

    def primary_and_guard_killed(self) -> None:
        """Both at once: the other guard goes on over the other node."""
        host = self.serving
        assert host.guard is not None
        self.cluster.primary.kill()
        host.guard.signal(signal.SIGKILL)
        started = time.monotonic()
        self.cluster.promote(self.cluster.latest_standby())
        self.timed_takeover("primary_and_guard_killed", started)

    def session_ended(self) -> None:
        """An administrator ends the guard's session under it: it begins the next epoch itself."""
        self.cluster.primary.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            f"WHERE application_name = 'pretrade-guard/{LOG}'"
        )
        self.calm()

    def rest(self, seconds: float) -> None:
        """Lets the load go on for so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.look()
            self.load.turn()


FAULTS: Final = (
    *("guard_killed", "guard_told", "guard_slept", "idle_guard_slept", "standby_node_killed"),
    *("both_standby_nodes_killed", "primary_killed", "primary_replaced"),
    *("primary_slept_and_replaced", "primary_and_guard_killed", "session_ended"),
)


def options_of(described: str, faults: Sequence[str]) -> argparse.Namespace:
    """The command line's; says the seed."""
    parser = argparse.ArgumentParser(description=described.split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, help="begin no round behind so many")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    parser.add_argument("--faults", nargs="+", choices=faults, default=list(faults))
    parser.add_argument("--mutant", default="", help="break the guards so (mutant.py)")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    return options


def main() -> int:
    """Runs it; the exit code."""
    options = options_of(__doc__, FAULTS)
    draw = random.Random(options.seed)
    with running_cluster() as cluster, tempfile.TemporaryDirectory() as directory:
        return play(Torture(cluster, Path(directory), draw, options.mutant), options)


def play(torture: Torture, options: argparse.Namespace) -> int:
    """The rounds; the exit code. None begins behind `options.seconds`, where that is given."""
    began = time.monotonic()
    try:
        torture.begin()
        torture.calm()
        for number in range(options.rounds):
            fault = options.faults[number % len(options.faults)]
            if number >= len(options.faults):
                fault = torture.draw.choice(options.faults)
            round_began = time.monotonic()
            if options.seconds is not None and round_began - began > options.seconds:
                break
            getattr(torture, fault)()
            torture.mend()
            torture.calm()
            took = time.monotonic() - round_began
            print(f"{number + 1:>4} {fault:<26} {took:5.1f} s", flush=True)
        wrong = torture.finish()
    finally:
        for host in torture.hosts:
            host.end()
    report(torture, wrong)
    return 1 if wrong else 0


def report(torture: Torture, wrong: list[str]) -> None:
    """What was seen."""
    load = torture.load
    print(f"{len(load.answers)} orders, {load.count} replies, {len(load.heads)} of them to pings")
    watch = torture.watch
    print(f"{watch.count} replies of standbys, behind by {watch.longest_s:.2f} s at most")
    print(f"{load.late} came from a guard that was not the last one to serve")
    for name in sorted({name for name, _ in torture.takeovers}):
        times = sorted(seconds for each, seconds in torture.takeovers if each == name)
        middle = times[len(times) // 2]
        print(f"{name}: {len(times)} times, median {middle:.2f} s, at most {times[-1]:.2f} s")
    for text in wrong[:20]:
        print(f"WRONG: {text}")
    print("every promise was kept" if not wrong else f"{len(wrong)} are WRONG")


if __name__ == "__main__":
    sys.exit(main())
