"""PostgreSQL on this machine, for a demo or a test: a primary and two standbys, on unix sockets.

Owns how such servers are made, started, asked and ended. Of both standbys one must have a commit
before it returns. Each server is a process of its own, in a directory below the one that is given,
whose path must be short: that of a unix socket has 107 bytes at most. What root starts runs as the
user `postgres`, since PostgreSQL refuses to be root. Nobody is asked for a password.

How it fails: `PostgresError` with what PostgreSQL's own program said, or waited for in vain.
"""

import os
import shutil
import signal
import subprocess
from importlib import resources
from pathlib import Path
from typing import Any, Final

from guard import clock
from guard.process import leaving

NAMES: Final = ("a", "b", "c")
DATABASE: Final = "guard"
PATIENCE_S: Final = 120.0
_POLL_NS: Final = 20_000_000

SETTINGS: Final = """
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


class PostgresError(RuntimeError):
    """A server could not be made, started or asked."""


def _found() -> Path | None:
    """Where its programs are: Debian's newest, else those on the path."""
    installed = Path("/usr/lib/postgresql").glob("[0-9]*/bin")
    newest = max(installed, key=lambda path: float(path.parent.name), default=None)
    on_path = shutil.which("initdb")
    return newest or (Path(on_path).resolve().parent if on_path else None)


BINARIES: Final = _found()


def as_postgres(*command: str) -> list[str]:
    """The command, of the user `postgres` where we are root."""
    if os.getuid() != 0:
        return [*command]
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise PostgresError("root needs setpriv (Debian: util-linux) to start PostgreSQL")
    return [setpriv, "--reuid=postgres", "--regid=postgres", "--clear-groups", *command]


def give_to_postgres(path: Path) -> None:
    """Makes it the server's own, where that is another user."""
    if os.getuid() == 0:
        shutil.chown(path, "postgres", "postgres")


def run(*command: str, **others: Any) -> "subprocess.CompletedProcess[str]":
    """One of PostgreSQL's own programs, to its good end."""
    done = subprocess.run(
        as_postgres(_binary(command[0]), *command[1:]),
        capture_output=True, text=True, timeout=PATIENCE_S, check=False, cwd="/", **others,
    )  # fmt: skip
    if done.returncode != 0:
        raise PostgresError(f"{command[0]}: exit {done.returncode}: {done.stdout}{done.stderr}")
    return done


def _binary(name: str) -> str:
    if BINARIES is None:
        raise PostgresError("PostgreSQL's server is not installed (Debian: postgresql)")
    return str(BINARIES / name)


class Node:
    """One server: its data, its socket's directory, its process if it runs."""

    process: "subprocess.Popen[bytes] | None" = None

    def __init__(self, root: Path, name: str) -> None:
        self.name = name
        self.data = root / name / "data"
        self.socket = root / name
        self.wrapper: tuple[str, ...] = ()  # what becomes the server, on a host of its own

    @property
    def host(self) -> str:
        """As `cluster.hosts` names it."""
        return str(self.socket)

    @property
    def pid(self) -> int:
        """Of the server, which runs."""
        if self.process is None:
            raise PostgresError(f"node {self.name} does not run")
        return self.process.pid

    def start(self) -> None:
        """Starts it, and waits until it takes connections."""
        self.begin()
        deadline_ns = _deadline_ns()
        ready = [_binary("pg_isready"), "-q", "-h", self.host]
        while subprocess.run(ready, check=False, timeout=PATIENCE_S).returncode != 0:
            if self.process is None or self.process.poll() is not None:
                raise PostgresError(f"node {self.name}: {(self.socket / 'said').read_text()}")
            _wait(deadline_ns, f"node {self.name} is not ready")

    def begin(self) -> None:
        """Starts it, and does not wait."""
        server = as_postgres(_binary("postgres"), "-D", str(self.data))
        with (self.socket / "said").open("ab") as said:
            self.process = leaving.start_process(
                [*self.wrapper, *server],
                stdin=subprocess.DEVNULL, stdout=said, stderr=said, cwd="/",
            )  # fmt: skip

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

    node_type: type[Node] = Node
    access = ""  # lines for `pg_hba.conf`, beside those of whoever comes by the sockets

    def __init__(self, root: Path) -> None:
        self.root = root
        self.nodes = {name: self.node_type(root, name) for name in NAMES}
        self.primary = self.nodes["a"]

    @property
    def hosts(self) -> list[str]:
        """As `cluster.hosts` names them."""
        return [node.host for node in self.nodes.values()]

    def section(self, log: str, **others: object) -> str:
        """A configuration's `[cluster]`, of that log."""
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
            give_to_postgres(node.socket)
        run(
            "initdb", "-D", str(first.data), "-U", "postgres", "--auth=trust", "--no-sync",
            "--locale=C", "-E", "UTF8",
        )  # fmt: skip
        with (first.data / "pg_hba.conf").open("a") as file:
            file.write(self.access)
        settings = f"{SETTINGS}{self.settings()}"
        first.configure(f"{settings}unix_socket_directories = '{first.socket}'\n")
        first.start()
        first.sql(f"CREATE DATABASE {DATABASE}")
        run(
            "psql", "-X", "-q", "-h", first.host, "-U", "postgres", "-d", DATABASE,
            "-v", "ON_ERROR_STOP=1",
            input=(resources.files("guard") / "data" / "cluster.sql").read_text(),
        )  # fmt: skip
        for node in others:
            self.copy_primary(node)
            node.start()
        first.configure(f"synchronous_standby_names = '{self.standby_names(first.name)}'\n")
        first.reload()
        self.wait_for_standbys(len(others))

    def follow(self, node: Node, primary: Node) -> None:
        """From its next start on `node` follows `primary`."""
        (node.data / "standby.signal").touch()
        give_to_postgres(node.data / "standby.signal")
        node.configure(
            f"primary_conninfo = '{self.conninfo(primary)} user=postgres "
            f"application_name={node.name}'\n"
        )

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
        deadline_ns = _deadline_ns()
        asked = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"
        while int(self.primary.sql(asked)) < count:
            _wait(deadline_ns, f"no {count} standbys stream")

    def stop(self) -> None:
        """Ends what runs."""
        for node in self.nodes.values():
            node.stop()


def _deadline_ns() -> int:
    return clock.monotonic_ns() + int(PATIENCE_S * 1e9)


def _wait(deadline_ns: int, words: str) -> None:
    """A moment. Raises PostgresError once the deadline has passed."""
    now_ns = clock.monotonic_ns()
    if now_ns >= deadline_ns:
        raise PostgresError(words)
    clock.sleep_until(now_ns + _POLL_NS)


def _toml(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return f'"{value}"' if isinstance(value, str) else str(value)
