"""PostgreSQL for tests: a primary and two standbys on this machine, on unix sockets.

Each node is a process of its own, of the user `postgres` where we are root (PostgreSQL refuses to
be root), in a directory that goes with the test. A test ends only what it started. Where PostgreSQL
or asyncpg is not installed, `needs_postgres` says so and the tests are skipped.
"""

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from patience_support import PATIENCE_S

NAMES = ("a", "b", "c")
DATABASE = "guard"
SCHEMA = Path(__file__).resolve().parent.parent / "guard" / "data" / "cluster.sql"
_LIBRARIES = sorted(
    Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name)
)
BINARIES = _LIBRARIES[-1] if _LIBRARIES else None
HAS_ASYNCPG = importlib.util.find_spec("asyncpg") is not None

needs_postgres = pytest.mark.skipif(
    BINARIES is None or not HAS_ASYNCPG,
    reason="PostgreSQL's server (Debian: postgresql), or asyncpg (the extra cluster), is not here",
)

SETTINGS = """
listen_addresses = ''
max_connections = 40
shared_buffers = 32MB
wal_level = replica
max_wal_senders = 8
wal_keep_size = 64MB
hot_standby = on
wal_receiver_status_interval = 1s
wal_retrieve_retry_interval = 100ms
log_min_messages = fatal
autovacuum_naptime = 10s
"""

# Who comes from another host shows nothing but that it speaks TLS: it is all one test's.
ADDRESSES = """
hostssl all all samenet trust
hostssl replication all samenet trust
"""


def as_postgres(*command: str) -> list[str]:
    """The command, of the user `postgres` where we are root."""
    if os.getuid() != 0:
        return [*command]
    setpriv = shutil.which("setpriv")
    assert setpriv is not None
    return [setpriv, "--reuid=postgres", "--regid=postgres", "--clear-groups", *command]


def run(*command: str, **others: Any) -> "subprocess.CompletedProcess[str]":
    """One of PostgreSQL's own programs, to its good end."""
    assert BINARIES is not None
    done = subprocess.run(
        as_postgres(str(BINARIES / command[0]), *command[1:]),
        capture_output=True, text=True, timeout=PATIENCE_S, check=False, cwd="/", **others,
    )  # fmt: skip
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done


class Node:
    """One server: its data, its socket's directory, its process if it runs."""

    def __init__(self, root: Path, name: str) -> None:
        self.name = name
        self.data = root / name / "data"
        self.socket = root / name
        self.wrapper: tuple[str, ...] = ()  # what becomes the server, on a host of its own
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def host(self) -> str:
        """As `cluster.hosts` names it."""
        return str(self.socket)

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        """Starts it, and waits until it takes connections."""
        assert BINARIES is not None
        self.begin()
        deadline = time.monotonic() + PATIENCE_S
        ready = [str(BINARIES / "pg_isready"), "-q", "-h", self.host]
        while subprocess.run(ready, check=False, timeout=PATIENCE_S).returncode != 0:
            assert self.process is not None
            assert self.process.poll() is None, (self.socket / "said").read_text()
            assert time.monotonic() < deadline, f"node {self.name} is not ready"
            time.sleep(0.02)

    def begin(self) -> None:
        """Starts it, and does not wait."""
        assert BINARIES is not None
        with (self.socket / "said").open("ab") as said:
            self.process = subprocess.Popen(
                [*self.wrapper, *as_postgres(str(BINARIES / "postgres"), "-D", str(self.data))],
                stdin=subprocess.DEVNULL, stdout=said, stderr=said, cwd="/",
            )  # fmt: skip

    def signal_all(self, number: int) -> None:
        """A signal to the server and each of its processes, the server first."""
        os.kill(self.pid, number)
        of_server = ["ps", "-o", "pid=", "--ppid", str(self.pid)]
        children = subprocess.run(of_server, capture_output=True, text=True, check=False)
        for pid in children.stdout.split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), number)

    def kill(self) -> None:
        """SIGKILL to the server; its sessions find out and end."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(PATIENCE_S)
            self.process = None

    def stop(self) -> None:
        """Ends it at once (an immediate shutdown), if it runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(signal.SIGQUIT)
            try:
                self.process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(PATIENCE_S)
        self.process = None

    def is_foreign(self, primary: "Node") -> bool:
        """Is its data that of a primary, though another node is the one now?"""
        return self is not primary and not (self.data / "standby.signal").exists()

    def configure(self, text: str) -> None:
        """Adds settings, for the next start or `reload`."""
        with (self.data / "postgresql.auto.conf").open("a") as file:
            file.write(text)

    def reload(self) -> None:
        """Has it read its settings again."""
        os.kill(self.pid, signal.SIGHUP)

    def sql(self, statement: str, database: str = "postgres") -> str:
        """What a superuser's statement returns, as text."""
        return run(
            "psql", "-X", "-q", "-A", "-t", "-h", self.host, "-U", "postgres", "-d", database,
            "-v", "ON_ERROR_STOP=1", "-c", statement,
        ).stdout.strip()  # fmt: skip


class Cluster:
    """A primary and two standbys, of which one must have a commit before it returns."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.nodes = {name: Node(root, name) for name in NAMES}
        self.primary = self.nodes["a"]

    @property
    def hosts(self) -> list[str]:
        """As `cluster.hosts` names them."""
        return [node.host for node in self.nodes.values()]

    def section(self, log: str = "test", **others: object) -> str:
        """A configuration's `[cluster]`."""
        lines = {
            "hosts": self.hosts,
            "database": DATABASE,
            "log": log,
            "standby_names": [self.standby_names(name) for name in NAMES],
            **others,
        }
        rows = "".join(f"{key} = {_toml(value)}\n" for key, value in lines.items())
        return f"[cluster]\n{rows}"

    def prepare(self, node: Node) -> None:
        """Before anything is in a node's directory."""

    def settings(self) -> str:
        """What every node has beside `SETTINGS`."""
        return ""

    def conninfo(self, primary: Node) -> str:
        """How a standby reaches the primary."""
        return f"host={primary.host}"

    @staticmethod
    def standby_names(primary: str) -> str:
        """`synchronous_standby_names` where that node is the primary."""
        return f"ANY 1 ({', '.join(name for name in NAMES if name != primary)})"

    def make(self) -> None:
        """Makes the primary, and both standbys from it; starts them, and makes the tables."""
        first, *others = self.nodes.values()
        for node in self.nodes.values():
            node.socket.mkdir()
            self.prepare(node)
            if os.getuid() == 0:
                shutil.chown(node.socket, "postgres", "postgres")
        run(
            "initdb", "-D", str(first.data), "-U", "postgres", "--auth=trust", "--no-sync",
            "--locale=C", "-E", "UTF8",
        )  # fmt: skip
        with (first.data / "pg_hba.conf").open("a") as file:
            file.write(ADDRESSES)
        settings = f"{SETTINGS}{self.settings()}"
        first.configure(f"{settings}unix_socket_directories = '{first.socket}'\n")
        first.start()
        first.sql(f"CREATE DATABASE {DATABASE}")
        run(
            "psql", "-X", "-q", "-h", first.host, "-U", "postgres", "-d", DATABASE,
            "-v", "ON_ERROR_STOP=1", input=SCHEMA.read_text(),
        )  # fmt: skip
        for node in others:
            self.copy_primary(node)
            node.start()
        first.configure(f"synchronous_standby_names = '{self.standby_names(first.name)}'\n")
        first.reload()
        self.wait_for_standbys(2)

    def follow(self, node: Node, primary: Node) -> None:
        """From its next start on `node` follows `primary`."""
        (node.data / "standby.signal").touch()
        if os.getuid() == 0:
            shutil.chown(node.data / "standby.signal", "postgres", "postgres")
        node.configure(
            f"primary_conninfo = '{self.conninfo(primary)} user=postgres "
            f"application_name={node.name}'\n"
        )

    def promote(self, node: Node) -> None:
        """Makes a standby the primary, and lets the other one that runs follow it."""
        for other in self.nodes.values():
            if other is not node and other is not self.primary and other.process is not None:
                self.follow(other, node)
                other.reload()
        node.configure(f"synchronous_standby_names = '{self.standby_names(node.name)}'\n")
        node.reload()
        run("pg_ctl", "promote", "-D", str(node.data), "-w")
        self.primary = node

    def renew(self, node: Node) -> None:
        """Makes a node that was the primary, or is of no use, a standby of the primary's, anew."""
        shutil.rmtree(node.data)
        self.copy_primary(node)
        node.start()

    def copy_primary(self, node: Node) -> None:
        """A standby's data, which follows the primary from its start on."""
        run(
            "pg_basebackup", "-h", self.primary.host, "-U", "postgres", "-D", str(node.data),
            "--checkpoint=fast", "--no-sync",
        )  # fmt: skip
        node.configure(f"unix_socket_directories = '{node.socket}'\n")
        self.follow(node, self.primary)

    def wait_for_standbys(self, count: int) -> None:
        """Until so many standbys stream."""
        deadline = time.monotonic() + PATIENCE_S
        asked = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"
        while int(self.primary.sql(asked)) < count:
            assert time.monotonic() < deadline, f"no {count} standbys stream"
            time.sleep(0.02)

    def latest_standby(self) -> Node:
        """The standby that runs and has received the most: the one to promote."""
        asked = "SELECT pg_wal_lsn_diff(pg_last_wal_receive_lsn(), '0/0')"
        running = [
            node
            for node in self.nodes.values()
            if node is not self.primary and node.process is not None
        ]
        return max(running, key=lambda node: int(node.sql(asked)))

    def stop(self) -> None:
        """Ends what runs."""
        for node in self.nodes.values():
            node.stop()


def _toml(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return f'"{value}"' if isinstance(value, str) else str(value)


@contextmanager
def running_cluster(kind: Callable[[Path], Cluster] = Cluster) -> Iterator[Cluster]:
    """A cluster in a directory of its own, ended and removed at the end."""
    # Not below a test's directory: the path of a unix socket has 107 bytes at most.
    root = Path(tempfile.mkdtemp(prefix="guardpg-"))
    root.chmod(0o755)
    cluster = kind(root)
    try:
        cluster.make()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(root, ignore_errors=True)
