"""Real daemons for tests: configuration, key, process, ready line, end.

Each daemon is a process of its own on a free loopback port, started with the same packages that the
test itself imports (`guard.process.own_process`). A test ends only what it started, and every wait
has a deadline.
"""

import io
import json
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from guard.cli import main
from guard.process import own_process
from guard.process.installation import PACKAGES as PACKAGES
from patience_support import PATIENCE_S
from wal import ChainHasher, read_entries
from wal import Dialect as WalDialect

KEY = bytes(range(32, 64))
# Nothing here takes a second on an idle machine; a run that waits so long has failed.

# What every test of the daemon runs under: the log's first seven records.
OPENING_RECORDS = 7
DESKS = {
    "desk-alpha": ("2000000.00", "1500000.00"),
    "desk-beta": ("500000.00", "none"),
}
VENUES = """
[[policy.venues]]
venue = 10
provider = 0
quality_bps = 9900
risk_ceiling_bps = 9500
p95_latency_ms = 42
fee_microcents_per_million_lots = 8200
fee_microcents_per_order = 14000

[[policy.venues]]
venue = 20
provider = 1
quality_bps = 9400
risk_ceiling_bps = 9500
p95_latency_ms = 95
fee_microcents_per_million_lots = 5100
fee_microcents_per_order = 9500
"""
INSTRUMENTS = {"AAPL": ("0.01", "1"), "BTC-USD": ("0.01", "0.00000001")}


def config_text(
    *,
    desks: dict[str, tuple[str, str]] | None = None,
    instruments: dict[str, tuple[str, str]] | None = None,
    settings: str = "",
    log: str = "",
    policy_epoch: int = 7,
    venues: str = VENUES,
) -> str:
    """A configuration file: two desks, two instruments, two venues, unless told otherwise."""
    instrument_tables = "".join(
        f'[[instruments]]\nsymbol = "{symbol}"\ntick_size = "{tick}"\nlot_size = "{lot}"\n'
        for symbol, (tick, lot) in (instruments or INSTRUMENTS).items()
    )
    desk_tables = "".join(
        f'[[desks]]\ndesk = "{name}"\nbudget = "{budget}"\nexposure_cap = "{cap}"\n'
        for name, (budget, cap) in (desks or DESKS).items()
    )
    return f"""
[endpoints]
orders = "tcp://127.0.0.1:*"
[log]
directory = "no-such-place/log"
{log}
[settings]
{settings}
[policy]
policy_epoch = {policy_epoch}
catalog_epoch = 42
hard_risk_limit_bps = 9600
minimum_confidence_bps = 7000
risk_penalty_multiplier_bps = 4000
latency_penalty_microcents_per_ms = 4
{venues}
{instrument_tables}
{desk_tables}
"""


class Site:
    """Where a daemon lives: its configuration, key and log under one directory."""

    def __init__(self, root: Path, config: str | None = None, key: bytes = KEY) -> None:
        self.root = root
        self.config = root / "guard.toml"
        self.key_file = root / "log.key"
        self.log = root / "log"
        self.configure(config or config_text())
        self.key_file.write_bytes(key)
        self.key_file.chmod(0o600)
        self.started = 0

    def configure(self, text: str) -> None:
        """Replaces the configuration for the next start."""
        self.config.write_text(text)

    @property
    def segment(self) -> Path:
        """The first segment of the log: the first session's."""
        return self.log / "00000001.jsonl"

    @property
    def segments(self) -> list[Path]:
        """All segments, in order; each session begins one."""
        return sorted(self.log.glob("*.jsonl"))

    def records(self) -> list[dict[str, Any]]:
        """The data of every record, the chain verified with the site's key."""
        hasher = ChainHasher(self.key_file.read_bytes())
        return [json.loads(entry.data) for entry in read_entries(self.log, hasher, _BLIND)]

    def events(self) -> list[str]:
        """The name of every record's event, in order."""
        return [event_of(record)["event"] for record in self.records()]

    def run_arguments(self, *arguments: str, new_log: bool | None = None) -> list[str]:
        """`run` with this site's configuration, log and key.

        `new_log`: whether with --new-log; None: where no log was begun to its end yet.
        """
        is_new = not holds_log(self.log) if new_log is None else new_log
        return [
            "run",
            *("--config", str(self.config)),
            *("--log-dir", str(self.log)),
            *("--key-file", str(self.key_file)),
            *(("--new-log",) if is_new else ()),
            *arguments,
        ]

    def refused(
        self,
        *arguments: str,
        environment: dict[str, str] | None = None,
        new_log: bool | None = None,
    ) -> Any:
        """A start that must end by itself: the finished process."""
        return command(*self.run_arguments(*arguments, new_log=new_log), environment=environment)

    @contextmanager
    def running(
        self,
        *arguments: str,
        environment: dict[str, str] | None = None,
        new_log: bool | None = None,
        **others: Any,
    ) -> Iterator["Daemon"]:
        """A ready daemon, killed at the end if it still runs. `others`: as `Daemon` takes them."""
        with self.started_only(
            *arguments, environment=environment, new_log=new_log, **others
        ) as daemon:
            daemon.wait_until_ready()
            yield daemon

    @contextmanager
    def started_only(
        self,
        *arguments: str,
        environment: dict[str, str] | None = None,
        new_log: bool | None = None,
        **others: Any,
    ) -> Iterator["Daemon"]:
        """As `running`, not waited for."""
        self.started += 1
        stderr_file = self.root / f"stderr-{self.started}"
        line = self.run_arguments(*arguments, new_log=new_log)
        daemon = Daemon(line, stderr_file, environment, **others)
        try:
            yield daemon
        finally:
            daemon.kill()

    def verify(self) -> dict[str, Any]:
        """What `verify` says of the log; it must say that all is well."""
        return self._judged("verify")

    def replay(self) -> dict[str, Any]:
        """What `replay` says of the log; it must say that all is well."""
        return self._judged("replay")

    def _judged(self, name: str) -> dict[str, Any]:
        done = tool(name, str(self.log), "--key-file", str(self.key_file), "--json")
        assert (done.returncode, done.stderr) == (0, ""), done
        answer: dict[str, Any] = json.loads(done.stdout)
        assert answer["ok"] is True
        return answer


class Daemon:
    """One started daemon process."""

    def __init__(
        self,
        arguments: list[str],
        stderr_file: Path,
        environment: dict[str, str] | None = None,
        *,
        wrapper: tuple[str, ...] = (),
        stdout: int = subprocess.PIPE,
        stderr: int | None = None,
        before_exec: Callable[[], None] | None = None,
    ) -> None:
        """`stdout`, `stderr`: descriptors, instead of a pipe to us and of that file.

        `wrapper`: a command that becomes the daemon, such as `prlimit`.
        """
        self.stderr_file = stderr_file
        self.ready_line = ""
        self.endpoint = ""
        with stderr_file.open("wb") as file:
            self.process = subprocess.Popen(
                [*wrapper, *own_process.command("guard.cli", *arguments)],
                stdout=stdout,
                stderr=file if stderr is None else stderr,
                env=_environment(environment),
                preexec_fn=before_exec,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def stderr(self) -> str:
        """What it has said to the operator so far."""
        return self.stderr_file.read_text()

    def wait_until_ready(self) -> None:
        """Waits for the ready line, and takes the endpoint from it."""
        assert self.process.stdout is not None
        descriptor = self.process.stdout.fileno()
        deadline = time.monotonic() + PATIENCE_S
        line = b""
        while not line.endswith(b"\n"):
            left_s = deadline - time.monotonic()
            assert left_s > 0, f"not ready in {PATIENCE_S} s: {self.stderr}"
            if select.select([descriptor], [], [], left_s)[0]:
                part = os.read(descriptor, 4096)
                assert part, f"ended with {self.process.wait(PATIENCE_S)}: {self.stderr}"
                line += part
        self.ready_line = line.decode()
        self.endpoint = self.ready_line.split("orders ", 1)[1].split(",", 1)[0]

    def next_line(self) -> bytes:
        """What it says next on its standard output; one that says nothing for long is ended."""
        assert self.process.stdout is not None
        late = threading.Timer(PATIENCE_S, self.process.kill)
        late.start()
        try:
            line: bytes = self.process.stdout.readline()
        finally:
            late.cancel()
        assert line, self.stderr
        return line

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        """Its exit code, once it has ended by itself."""
        return self.process.wait(PATIENCE_S)

    def last_words(self) -> str:
        """What it said on its standard output behind the ready line; after its end."""
        assert self.process.stdout is not None
        return self.process.stdout.read().decode()

    def stop(self) -> int:
        """SIGTERM; its exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """SIGKILL, if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE_S)
        if self.process.stdout is not None:
            self.process.stdout.close()

    def resident_bytes(self) -> int:
        """Its resident memory, from /proc."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


def command(
    *arguments: str,
    environment: dict[str, str] | None = None,
    interpreter: tuple[str, ...] = (),
    stdin: str | None = None,
    patience_s: float = PATIENCE_S,
) -> "subprocess.CompletedProcess[str]":
    """One run of the command line to its end."""
    line = own_process.command("guard.cli", *arguments)
    return subprocess.run(
        [line[0], *interpreter, *line[1:]],
        capture_output=True,
        input=stdin,
        text=True,
        timeout=patience_s,
        env=_environment(environment),
        check=False,
    )


def tool(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """The same within this process, a third of the work: for tools that read a log and speak."""
    said, complained = io.StringIO(), io.StringIO()
    with redirect_stdout(said), redirect_stderr(complained):
        code = main([*arguments])
    return subprocess.CompletedProcess(arguments, code, said.getvalue(), complained.getvalue())


def holds_log(directory: Path) -> bool:
    """Whether a log was begun there: anything but a first batch that is not whole."""
    found = [*directory.glob("checkpoint*"), *directory.glob("*.jsonl")]
    filled = [path for path in found if path.stat().st_size]
    if [path.name for path in filled] != ["00000001.jsonl"]:
        return bool(filled)
    lines = filled[0].read_bytes().splitlines(keepends=True)
    if not lines or not lines[0].endswith(b"}\n"):
        return False
    try:
        opened = json.loads(lines[0])["data"]
    except (ValueError, KeyError):
        return True  # damage, which is not for a new log to cover up
    return sum(line.endswith(b"\n") for line in lines) >= opened.get("opening_records", 1)


def event_of(record: dict[str, Any]) -> dict[str, Any]:
    """The guard's event in a record's data."""
    event: dict[str, Any] = record.get("metadata", record)
    return event


def _environment(extra: dict[str, str] | None) -> dict[str, str]:
    """Ours, without a service manager; tests look into the process."""
    mine = {name: value for name, value in os.environ.items() if name not in _MANAGER}
    return {**mine, "PRETRADE_GUARD_DUMPABLE": "1", **(extra or {})}


_MANAGER = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "CREDENTIALS_DIRECTORY")
_BLIND = WalDialect(
    is_native_head=lambda data: True,
    batch_first_sequence=lambda data: None,
    is_clean_close=lambda data: False,
)
