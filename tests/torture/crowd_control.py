"""Who starts the clients, kills them, stalls the disk and watches the daemon meanwhile.

Owns the worker processes (started here, ended here, by their own ids) and the stalls. What must
hold of the daemon afterwards is `clients`' to check; that it lives, and that the good client was
answered, is found here at once.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType

from bystander import CONNECTED
from doors import Door

from daemon_support import Daemon
from patience_support import PATIENCE_S
from stall_support import ShimSite

HERE = Path(__file__).resolve().parent
GOOD_REQUESTS_PER_S = 100.0
RAW_SHARE = 0.25  # of the clients; the others are libzmq's
CROWD_SOCKETS_MAX = 100
FLOODS = 2  # of one client each
# The attacks that a daemon has to have many of at a time.
WEIGHTS = {"idle": 8, "silent": 4, "half-greeted": 4, "trickling": 3, "same-identity": 2}
# One at a time: each costs the daemon as much as hundreds of the others, and the machine has to be
# left able to serve somebody.
RARE = (
    *("many-frames", "very-many-frames", "endless", "endless-same-identity", "too-long"),
    *("heartbeats", "reset-over-replies"),
)
CROWDING_BEYOND = 100  # connections more than the daemon has descriptors
ASK_EVERY_S = 0.5  # so often, on the average, it is asked for a segment and a checkpoint meanwhile
KILL_EVERY_S = 0.8  # on the average
STALL_EVERY_S = 1.5
STALL_S_MAX = 0.5
TICK_S = 0.02


@dataclass(frozen=True)
class Plan:
    """What is to be done to one daemon."""

    door: Door
    clients: int
    seconds: float
    messages_per_s: float
    attacks: tuple[str, ...]
    has_stock: bool
    seed: int
    descriptors: int = 0  # what the daemon may have open; 0: as the system says
    peers: dict[str, int] = field(default_factory=dict)  # of these attacks, instead of a share

    def alone(self, seconds: float) -> Plan:
        """The same with nobody but the good client."""
        return replace(
            self,
            clients=0,
            seconds=seconds,
            attacks=(),
            has_stock=False,
            descriptors=0,
            peers={},
        )

    @property
    def wrapper(self) -> tuple[str, ...]:
        """What starts the daemon."""
        limit = f"--nofile={self.descriptors}:{self.descriptors}"
        return ("prlimit", limit) if self.descriptors else ()

    @property
    def raw_peers(self) -> dict[str, int]:
        """How many peers of each attack, one of each at least."""
        if not self.attacks:
            return {}
        total = int(self.clients * RAW_SHARE) if self.has_stock else self.clients
        weights = {name: 0 if name in RARE else WEIGHTS.get(name, 1) for name in self.attacks}
        unit = total / max(1, sum(weights.values()))
        peers = {name: max(1, int(weight * unit)) for name, weight in weights.items()}
        if "crowding" in peers:
            peers["crowding"] = self.descriptors + CROWDING_BEYOND
        return peers | self.peers

    @property
    def crowds(self) -> list[int]:
        """The sockets of each process of stock clients."""
        if not self.has_stock:
            return []
        left = max(0, self.clients - sum(self.raw_peers.values()) - FLOODS)
        size = min(CROWD_SOCKETS_MAX, max(1, left // 4))
        full, rest = divmod(left, size)
        return [size] * full + ([rest] if rest else []) + [1] * FLOODS


@dataclass
class Good:
    """What the good client says of its run."""

    latencies_ns: list[int] = field(default_factory=list)
    orders: dict[str, int] = field(default_factory=dict)


class Worker:
    """A started process of clients."""

    def __init__(self, script: str, arguments: list[str], counts_file: Path | None) -> None:
        self.counts_file = counts_file
        self.process = subprocess.Popen([sys.executable, str(HERE / script), *arguments])

    def end(self) -> Counter[str]:
        """SIGKILL, if it still runs; what it has done."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE_S)
        if self.counts_file is None or not self.counts_file.exists():
            return Counter()  # killed before it had connected anybody
        return Counter(json.loads(self.counts_file.read_bytes()))


def processor_times(daemon: Daemon) -> tuple[int, int]:
    """Of the loop's thread, ns: on a processor, and waiting for one."""
    ran, waited, _ = Path(f"/proc/{daemon.pid}/schedstat").read_text().split()
    return int(ran), int(waited)


class Fray:
    """All of it around one daemon; as a context, so that everybody is ended at the end."""

    def __init__(self, site: ShimSite, daemon: Daemon, plan: Plan) -> None:
        self._site, self._daemon, self._plan = site, daemon, plan
        self._draw = random.Random(plan.seed)
        self._crowds: list[tuple[int, Worker]] = []
        self._others: list[Worker] = []
        self._serial = 0
        self._stalled_until = 0.0
        self._worker_seconds = plan.seconds + 3 * PATIENCE_S  # if nobody ends them before
        self.counts: Counter[str] = Counter()
        self.good = Good()
        self.bytes_before = self.bytes_peak = daemon.resident_bytes()
        self.ran_ns = self.waited_ns = 0  # the daemon's loop, during `run`

    def __enter__(self) -> Fray:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._site.hang_file.unlink(missing_ok=True)
        for worker in [*self._others, *(worker for _, worker in self._crowds)]:
            self.counts += worker.end()

    def run(self) -> None:
        """The whole time, and then until the good client is through."""
        plan, daemon = self._plan, self._daemon
        good, result_file = self._start_good()
        for size in plan.crowds:
            self._crowds.append((size, self._start_crowd(size)))
        if plan.raw_peers:
            self._start_raw_peers()
        started = time.monotonic()
        ran_ns, waited_ns = processor_times(daemon)
        duties = [(self._stall, STALL_EVERY_S)]
        if plan.has_stock:
            duties.append((self._kill_one, KILL_EVERY_S))
        if plan.descriptors:
            duties.append((self._ask_for_files, ASK_EVERY_S))
        due = dict.fromkeys((duty for duty, _ in duties), started)
        while good.process.poll() is None:
            now = time.monotonic()
            assert now < started + plan.seconds + 2 * PATIENCE_S, "the good client does not end"
            self._watch(now)
            for duty, every_s in duties:
                if now >= due[duty]:
                    due[duty] = now + self._draw.expovariate(1 / every_s)
                    duty()
            time.sleep(TICK_S)
        self._watch(time.monotonic())
        ran_until_ns, waited_until_ns = processor_times(daemon)
        self.ran_ns, self.waited_ns = ran_until_ns - ran_ns, waited_until_ns - waited_ns
        assert good.process.returncode == 0, "the good client was not answered as it must be"
        self.good = Good(**json.loads(result_file.read_text()))

    def counts_text(self) -> str:
        """What has been done, for people."""
        counts = self.counts
        raw = {name: count for name, count in counts.items() if name in self._plan.attacks}
        listed = ", ".join(f"{name} {count}" for name, count in sorted(raw.items()))
        return (
            f"{self._plan.clients} clients at a time, {counts['stock']} stock ones in all, of "
            f"which {counts['killed']} were killed (in {counts['kills']} processes), "
            f"{counts['closed']} closed; they sent {counts['messages']} messages and read "
            f"{counts['replies']}; {counts['stalls']} stalls of the disk\n"
            f"raw peers: {sum(raw.values())}, {counts['resets']} of them reset ({listed}); "
            f"{counts['ended by the daemon']} ended by the daemon"
        )

    def _watch(self, now: float) -> None:
        if now >= self._stalled_until:
            self._site.hang_file.unlink(missing_ok=True)
        assert self._daemon.process.poll() is None, f"it ended: {self._daemon.stderr}"
        with suppress(FileNotFoundError):  # it ends at this moment: found at the next look
            self.bytes_peak = max(self.bytes_peak, self._daemon.resident_bytes())
        for worker in self._others:
            assert worker.process.poll() in (None, 0), "a worker failed"

    def _stall(self) -> None:
        """The disk hangs, until `_watch` lets it go."""
        self._site.hang_file.touch()
        self._stalled_until = time.monotonic() + self._draw.uniform(0, STALL_S_MAX)
        self.counts["stalls"] += 1

    def _ask_for_files(self) -> None:
        """A segment, and a child that writes a checkpoint: both need descriptors."""
        self._daemon.signal(signal.SIGUSR1)
        self._daemon.signal(signal.SIGUSR2)

    def _kill_one(self) -> None:
        at = self._draw.randrange(len(self._crowds))
        size, worker = self._crowds[at]
        assert worker.process.poll() is None, "a crowd failed"
        counts = worker.end()
        self.counts += counts
        self.counts["kills"] += 1
        self.counts["killed"] += size if counts else 0
        self._crowds[at] = (size, self._start_crowd(size))

    def _counts_file(self) -> Path:
        self._serial += 1
        return self._site.root / f"counts-{self._serial}"

    def _start_crowd(self, size: int) -> Worker:
        plan, file = self._plan, self._counts_file()
        share = max(1.0, plan.messages_per_s * size / max(1, sum(plan.crowds)))
        seed = self._draw.randrange(2**32)
        numbers = [str(each) for each in (seed, size, share, self._worker_seconds)]
        return Worker("crowd.py", [self._daemon.endpoint, *numbers, str(file)], file)

    def _start_raw_peers(self) -> None:
        plan, file = self._plan, self._counts_file()
        seed = self._draw.randrange(2**32)
        wanted = [f"{name}={count}" for name, count in plan.raw_peers.items()]
        numbers = [str(seed), str(self._worker_seconds)]
        arguments = [self._daemon.endpoint, *numbers, str(file), *wanted]
        self._others.append(Worker("raw_peers.py", arguments, file))

    def _start_good(self) -> tuple[Worker, Path]:
        file = self._site.root / "good"
        numbers = [str(each) for each in (self._plan.seed, GOOD_REQUESTS_PER_S, self._plan.seconds)]
        worker = Worker("bystander.py", [self._daemon.endpoint, *numbers, str(file)], None)
        self._others.append(worker)
        deadline = time.monotonic() + PATIENCE_S
        while not file.with_suffix(CONNECTED).exists():  # before the others come
            assert worker.process.poll() is None, "the good client failed"
            assert time.monotonic() < deadline, "the good client is not answered"
            time.sleep(TICK_S)
        return worker, file
