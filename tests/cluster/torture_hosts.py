"""The torture over separate hosts: networks that part, disks that fill, clocks that are off.

    python tests/cluster/torture_hosts.py [--rounds N] [--seconds S] [--seed S] [--faults NAME ...]

Each of PostgreSQL's three nodes and of the two guards has a host of its own, a network namespace
with an address (`tests/netns_support.py`), and a small disk of its own; they speak TLS with checked
names. Load and oracle are those of `torture.py`, beside: clients reach both guards by unix sockets,
whatever is cut. Needs root. Each round does one thing and mends it; it ends with exit code 0 only
if every promise was kept.
"""

import contextlib
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from cluster_support import NAMES, Cluster, Node, running_cluster
from netns_support import Network, running_network, small_disk
from torture import (
    FAULTS,
    IN_FLIGHT,
    Host,
    Torture,
    options_of,
    play,
)

SKEW_SCRIPT: Final = Path(__file__).resolve().parent / "skewed.py"
GUARDS: Final = ("one", "two")
NODE_DISK_MIB: Final = 700
GUARD_DISK_MIB: Final = 512
SETTINGS: Final = """
listen_addresses = '*'
ssl = on
ssl_cert_file = '{root}/tls.pem'
ssl_key_file = '{root}/tls.key'
wal_receiver_timeout = 2s
wal_sender_timeout = 2s
tcp_keepalives_idle = 1
tcp_keepalives_interval = 1
tcp_keepalives_count = 2
max_wal_size = 64MB
min_wal_size = 32MB
"""


class HostCluster(Cluster):
    """Nodes that each have a host and a disk, and reach each other by TLS."""

    def __init__(self, root: Path, network: Network, ending: ExitStack) -> None:
        super().__init__(root)
        self.network = network
        self._ending = ending
        names = ",".join(f"IP:{network.address(name)}" for name in NAMES)
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-days", "2", "-subj", "/CN=torture", "-addext", f"subjectAltName={names}",
             "-keyout", str(root / "tls.key"), "-out", str(root / "tls.pem")],
            check=True, capture_output=True, timeout=60,
        )  # fmt: skip
        subprocess.run(["chown", "postgres:", str(root / "tls.key")], check=True, timeout=60)
        for node in self.nodes.values():
            node.wrapper = network.inside(node.name)

    @property
    def hosts(self) -> list[str]:
        return [f"{self.network.address(name)}:5432" for name in self.nodes]

    def section(self, log: str = "test", **others: object) -> str:
        return super().section(log, tls_root_file=str(self.root / "tls.pem"), **others)

    def prepare(self, node: Node) -> None:
        self._ending.enter_context(small_disk(str(node.socket), NODE_DISK_MIB))

    def settings(self) -> str:
        return SETTINGS.format(root=self.root)

    def conninfo(self, primary: Node) -> str:
        files = " ".join(
            f"{key}={self.root}/{name}"
            for key, name in (("sslrootcert", "tls.pem"), ("sslcert", "none"), ("sslkey", "none"))
        )
        address = self.network.address(primary.name)
        return f"host={address} sslmode=verify-full connect_timeout=2 {files}"

    def stop(self) -> None:
        super().stop()
        self._ending.close()


class NetHost(Host):
    """A guard on a host of its own, whose clients are on none."""

    def __init__(self, cluster: HostCluster, root: Path, name: str) -> None:
        super().__init__(cluster, root, name)
        self.inside = cluster.network.inside(name)
        self.text = self.text.replace("[log]", "[log]\ndisk_reserve_bytes = 1_048_576", 1)

    def start(self, *command: str) -> None:
        place = f"ipc://{self.site.root}/orders-{self.site.started}"
        self.site.configure(self.text.replace("tcp://127.0.0.1:*", place))
        super().start(*command)


@contextlib.contextmanager
def full(directory: Path) -> Iterator[None]:
    """A disk on which nothing is left, until the end."""
    filler = directory / "filler"
    try:
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(65_536))
        yield
    finally:
        filler.unlink()


class HostsTorture(Torture):
    """One run over hosts."""

    cluster: HostCluster

    def __init__(
        self, cluster: HostCluster, root: Path, draw: random.Random, mutant: str, ending: ExitStack
    ) -> None:
        self._ending = ending
        super().__init__(cluster, root, draw, mutant)
        self.network = cluster.network

    def host(self, root: Path, name: str) -> Host:
        made = NetHost(self.cluster, root, name)
        made.site.log.mkdir()
        self._ending.enter_context(small_disk(str(made.site.log), GUARD_DISK_MIB))
        return made

    @property
    def standby(self) -> Host:
        """The one that does not serve."""
        return next(host for host in self.hosts if host is not self.serving)

    def standby_nodes(self) -> list[str]:
        """PostgreSQL's, but for the primary."""
        return [name for name in NAMES if name != self.cluster.primary.name]

    def mend(self) -> None:
        self.network.heal()
        for node in self.cluster.nodes.values():
            if node.process is not None and node.process.poll() is not None:
                node.process = None
        super().mend()

    # What is done in a round.

    def replaced_while_cut_off(self, name: str) -> None:
        """The serving guard cannot speak with the cluster: the other takes over, and it ends."""
        before = self.serving
        self.timed_takeover(name, time.monotonic())
        self.rest(self.draw.uniform(0.0, 0.5))
        self.network.heal()
        self.until(lambda: not before.runs(), "the end of a guard that was replaced")

    def guard_cut_off(self) -> None:
        """Guard and nodes are parted, both ways."""
        self.network.part([self.serving.name], NAMES)
        self.replaced_while_cut_off("guard_cut_off")

    def guard_not_heard(self) -> None:
        """What the guard sends is lost; what the nodes send arrives."""
        for node in NAMES:
            self.network.cut(self.serving.name, node)
        self.replaced_while_cut_off("guard_not_heard")

    def guard_deaf(self) -> None:
        """What the guard sends arrives, and is committed; it never hears of it."""
        for node in NAMES:
            self.network.cut(node, self.serving.name)
        self.replaced_while_cut_off("guard_deaf")

    def guard_cut_off_for_a_moment(self) -> None:
        """Healed before anybody takes over: it goes on, or another one does."""
        self.network.part([self.serving.name], NAMES)
        self.rest(self.draw.uniform(0.1, 0.5))
        self.network.heal()
        self.calm()

    def standby_guard_cut_off(self) -> None:
        """The standby sees no cluster, and so does not take over."""
        standby, serving = self.standby, self.serving
        self.network.part([standby.name], NAMES)
        self.rest(2.0)
        self.calm()
        if self.serving is not serving:
            self.load.wrong.append("a standby took over that saw no cluster")
        self.network.heal()
        self.calm()

    def standby_node_cut_off(self) -> None:
        """One of PostgreSQL's standbys is alone: nobody notices."""
        name = self.draw.choice(self.standby_nodes())
        self.network.part([name], [each for each in (*NAMES, *GUARDS) if each != name])
        self.calm()
        self.rest(self.draw.uniform(0.0, 1.0))

    def primary_without_quorum(self) -> None:
        """Guards reach the primary, which reaches no standby: nobody is answered meanwhile."""
        if self.draw.random() < 0.5:
            self.network.part([self.cluster.primary.name], self.standby_nodes())
        else:
            for name in self.standby_nodes():
                self.network.cut(self.cluster.primary.name, name)
        self.rest(self.draw.uniform(0.2, 2.0))
        self.network.heal()
        self.calm()

    def primary_cut_off_and_replaced(self) -> None:
        """The primary is alone, another one is promoted; healed, there are two for a while."""
        old = self.cluster.primary
        self.network.part([old.name], [each for each in (*NAMES, *GUARDS) if each != old.name])
        started = time.monotonic()
        self.cluster.promote(self.cluster.latest_standby())
        count = len(self.load.answers)
        self.until(lambda: len(self.load.answers) > count + IN_FLIGHT, "answers")
        self.takeovers.append(("primary_cut_off_and_replaced", time.monotonic() - started))
        self.network.heal()
        self.rest(1.0)
        old.kill()

    def guard_with_the_old_primary(self) -> None:
        """The serving guard and the primary are cut off together; node and guard are replaced."""
        old, before = self.cluster.primary, self.serving
        together = [old.name, before.name]
        self.network.part(together, [each for each in (*NAMES, *GUARDS) if each not in together])
        started = time.monotonic()
        self.cluster.promote(self.cluster.latest_standby())
        self.timed_takeover("guard_with_the_old_primary", started)
        self.rest(0.5)
        self.network.heal()
        self.until(lambda: not before.runs(), "the end of a guard that was replaced")
        old.kill()

    def primary_disk_full(self) -> None:
        """PostgreSQL's primary finds no room, and may end; then there is room, and it starts."""
        node = self.cluster.primary
        with full(node.socket):
            for _ in range(3):
                with contextlib.suppress(AssertionError):  # it may have ended already
                    node.sql("SELECT pg_switch_wal()")
            self.rest(self.draw.uniform(0.5, 2.0))
        if node.process is not None and node.process.poll() is not None:
            node.process = None
            node.start()
        self.calm()

    def standby_disk_full(self) -> None:
        """One of PostgreSQL's standbys finds no room: nobody notices."""
        node = self.cluster.nodes[self.draw.choice(self.standby_nodes())]
        with full(node.socket):
            for _ in range(4):
                self.cluster.primary.sql("SELECT pg_switch_wal()")
                self.calm()

    def guard_disk_full(self) -> None:
        """The serving guard's disk is full: it puts off what needs a record, or ends; then there is
        room.
        """
        host, before = self.serving, self.load.serving
        self.load.full_at = before
        with full(host.site.log):
            self.rest(2.0)
            if host.runs():
                assert host.guard is not None
                host.guard.signal(signal.SIGKILL)
            self.until(lambda: self.load.serving != before, "another guard")
        self.calm()

    def stand_by_skewed(self, offset_ms: int) -> None:
        """The one that stands by does so anew, with a clock that is off; then the other dies."""
        host, serving = self.standby, self.serving
        host.end()
        host.skew = (sys.executable, str(SKEW_SCRIPT), str(offset_ms))
        try:
            self.stand_by(host)
        finally:
            host.skew = ()
        self.calm()
        assert serving.guard is not None
        serving.guard.signal(signal.SIGKILL)

    def clock_behind(self) -> None:
        """By less than it may be: the start waits until the clock has passed the last record."""
        self.stand_by_skewed(-1_200)
        self.timed_takeover("clock_behind", time.monotonic())

    def clock_ahead(self) -> None:
        """Records get its time; who comes next waits for its own clock."""
        self.stand_by_skewed(1_200)
        self.timed_takeover("clock_ahead", time.monotonic())

    def clock_far_behind(self) -> None:
        """It refuses to serve, and another one does."""
        host, serving = self.standby, self.serving
        self.stand_by_skewed(-60_000)
        self.until(lambda: not host.runs(), "the refusal of a guard whose clock is far behind")
        serving.end()
        self.stand_by(serving)
        self.timed_takeover("clock_far_behind", time.monotonic())


HOSTS_FAULTS: Final = (
    *("guard_cut_off", "guard_not_heard", "guard_deaf", "guard_cut_off_for_a_moment"),
    *("standby_guard_cut_off", "standby_node_cut_off", "primary_without_quorum"),
    *("primary_cut_off_and_replaced", "guard_with_the_old_primary"),
    *("primary_disk_full", "standby_disk_full", "guard_disk_full"),
    *("clock_behind", "clock_ahead", "clock_far_behind"),
)


def main() -> int:
    """Runs it; the exit code."""
    options = options_of(__doc__, (*HOSTS_FAULTS, *FAULTS))
    if options.faults == [*HOSTS_FAULTS, *FAULTS]:
        options.faults = list(HOSTS_FAULTS)
    draw = random.Random(options.seed)
    with (
        running_network((*NAMES, *GUARDS)) as network,
        tempfile.TemporaryDirectory(prefix="guardnet-") as directory,
        ExitStack() as ending,
        running_cluster(lambda root: HostCluster(root, network, ending)) as cluster,
    ):
        assert isinstance(cluster, HostCluster)
        torture = HostsTorture(cluster, Path(directory), draw, options.mutant, ending)
        return play(torture, options)


if __name__ == "__main__":
    sys.exit(main())
