"""PostgreSQL for tests: the demo's servers (`guard.demo.postgres`), and what is done to them.

A test ends only what it started. Where PostgreSQL or asyncpg is not installed, `needs_postgres`
says so and the tests are skipped.
"""

import contextlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from guard.demo import postgres
from guard.demo.postgres import BINARIES as BINARIES
from guard.demo.postgres import DATABASE as DATABASE
from guard.demo.postgres import NAMES as NAMES
from guard.demo.postgres import as_postgres as as_postgres
from guard.demo.postgres import run

HAS_ASYNCPG = importlib.util.find_spec("asyncpg") is not None

needs_postgres = pytest.mark.skipif(
    BINARIES is None or not HAS_ASYNCPG,
    reason="PostgreSQL's server (Debian: postgresql), or asyncpg (the extra cluster), is not here",
)

# Who comes from another host shows nothing but that it speaks TLS: it is all one test's.
ADDRESSES = """
hostssl all all samenet trust
hostssl replication all samenet trust
"""


class Node(postgres.Node):
    """A server to which things are done."""

    def signal_all(self, number: int) -> None:
        """A signal to the server and each of its processes, the server first."""
        os.kill(self.pid, number)
        of_server = ["ps", "-o", "pid=", "--ppid", str(self.pid)]
        children = subprocess.run(of_server, capture_output=True, text=True, check=False)
        for pid in children.stdout.split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), number)

    def is_foreign(self, primary: "Node") -> bool:
        """Is its data that of a primary, though another node is the one now?"""
        return self is not primary and not (self.data / "standby.signal").exists()


class Cluster(postgres.Cluster):
    """Servers of which another one becomes the primary."""

    node_type = Node
    access = ADDRESSES
    nodes: dict[str, Node]
    primary: Node

    def section(self, log: str = "test", **others: object) -> str:
        """A configuration's `[cluster]`."""
        return super().section(log, **others)

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

    def latest_standby(self) -> Node:
        """The standby that runs and has received the most: the one to promote."""
        asked = "SELECT pg_wal_lsn_diff(pg_last_wal_receive_lsn(), '0/0')"
        running = [
            node
            for node in self.nodes.values()
            if node is not self.primary and node.process is not None
        ]
        return max(running, key=lambda node: int(node.sql(asked)))


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
