"""`pretrade-guard demo --cluster`: a log on a cluster, and a guard that goes on in another's place.

Owns that demo's course: three PostgreSQL servers on this machine (`guard.demo.postgres`), a guard
that serves and one that stands by, each with a log of its own, and the recorded flow through one
client that knows both. In its midst the serving guard is killed, and later one of the databases.
Then every answer to an order that the client had is looked up in the log of the guard that is left,
which is verified and replayed like any other.

How it fails: exit 1 with what went wrong; however it ends, all processes and files are gone then
(`guard.process.leaving`).
"""

import contextlib
import signal
import subprocess
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Final

from rich.markup import escape

from guard import clock
from guard.client import AsyncGuardClient, GuardClientError
from guard.config.keys import create_key, load_key
from guard.console import Console
from guard.demo.flow import read_steps, with_marks
from guard.demo.play import (
    CONFIG_NAME,
    IN_FLIGHT_MAX,
    KEY_NAME,
    LOG_NAME,
    READY_TIMEOUT_S,
    DemoError,
    Played,
    new_runner,
    play_steps,
    telling,
    wait_for_end,
)
from guard.demo.postgres import Cluster, PostgresError
from guard.demo.report import show_cluster, show_played, show_proof, show_takeover
from guard.engine.state import GuardState
from guard.process import leaving, own_process
from guard.protocol.messages import Admit
from guard.protocol.outcome import OutcomeKind
from guard.record.codec import DIALECT
from guard.recovery.start_options import NEW_LOG_OPTION
from guard.replay.place import Place
from guard.replay.redecide import Replayed
from guard.replay.replay import replay_log
from wal import PRIVATE_DIRECTORY_MODE, ChainHasher, WalDamage, verify_chain

# So much of the flow has been sent when they are killed.
GUARD_KILLED_AT: Final = 0.4
DATABASE_KILLED_AT: Final = 0.7
BEAT_MS, SILENCE_MS = 100, 1_000
RESEND_AFTER_S: Final = 0.5
_CONFIGURED: Final = ('orders = "tcp://127.0.0.1:7001"', f'key_file = "{KEY_NAME}"')
_ADMITTED: Final = int(OutcomeKind.ADMITTED)
_ANSWERS: Final = frozenset(
    map(int, (OutcomeKind.ADMITTED, OutcomeKind.REJECTED, OutcomeKind.REFUSED))
)

# By sequence: an order's desk and id, and whether it was admitted.
Decided = dict[int, tuple[str, str, bool]]


def run_cluster_demo() -> int:
    """Plays the demo; returns the exit code."""
    console = Console()
    try:
        with leaving.temporary_directory("guard-demo-") as root:
            root.chmod(0o711)  # the servers, of another user where we are root, come through it
            _play_within(console, root)
    except BrokenPipeError:
        raise  # nobody is left to be told
    except (DemoError, PostgresError, GuardClientError, WalDamage, OSError) as error:
        console.print(f"[bold red]The demo failed:[/] {escape(str(error))}")
        return 1
    return 0


def _play_within(console: Console, root: Path) -> None:
    create_key(root / KEY_NAME)
    with _databases(console, root) as cluster:
        serving, standby = (Host(cluster, root, name) for name in ("one", "two"))
        with (
            _running(console, serving, "run", NEW_LOG_OPTION) as guard,
            _running(console, standby, "standby") as successor,
        ):
            played = _play(console, cluster, [serving, standby], guard)
            successor.terminate()
            if (code := wait_for_end(successor)) != 0:
                raise DemoError(f"the guard that went on ended with code {code}")
    show_played(console, played)
    show_takeover(console, len(played.answers), max(played.latencies_ns))
    _prove(console, standby.log, ChainHasher(load_key(root / KEY_NAME)), played)


class Host:
    """A guard's place: its configuration, its log, and where it takes orders."""

    def __init__(self, cluster: Cluster, root: Path, name: str) -> None:
        place = root / f"guard-{name}"
        place.mkdir(PRIVATE_DIRECTORY_MODE)
        self.log = place / LOG_NAME
        self.config = place / CONFIG_NAME
        self.endpoint = f"ipc://{place}/orders"
        text = (resources.files("guard") / "data" / CONFIG_NAME).read_text()
        own = (f'orders = "{self.endpoint}"', f'key_file = "{root / KEY_NAME}"')
        for before, after in zip(_CONFIGURED, own, strict=True):
            text = text.replace(before, after)
        section = cluster.section("demo", takeover="silent", beat_ms=BEAT_MS, silence_ms=SILENCE_MS)
        self.config.write_text(f"{text}\n{section}")


@contextlib.contextmanager
def _databases(console: Console, root: Path) -> Iterator[Cluster]:
    cluster = Cluster(root)
    try:
        with telling(console, "making three PostgreSQL servers"):
            cluster.make()
        yield cluster
    finally:
        cluster.stop()


@contextlib.contextmanager
def _running(
    console: Console, host: Host, command: str, *options: str
) -> Iterator["subprocess.Popen[bytes]"]:
    """A guard that serves, or stands by; ended behind it."""
    process = own_process.start(
        *("guard.cli", command, "--config", str(host.config), *options), stdout=subprocess.PIPE
    )
    try:
        with telling(console, f"starting {command}"):
            said = own_process.first_line(process, READY_TIMEOUT_S)
        if not said or ("ready: orders " not in said and "stands by" not in said):
            raise DemoError(f"`{command}` did not start")
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def _play(
    console: Console, cluster: Cluster, hosts: list[Host], guard: "subprocess.Popen[bytes]"
) -> Played:
    """The flow, with what is killed in its midst."""
    steps = list(with_marks(read_steps()))
    database = list(cluster.nodes.values())[-1]

    def kill_guard() -> None:
        guard.send_signal(signal.SIGKILL)

    guard_killed_at = int(len(steps) * GUARD_KILLED_AT)
    database_killed_at = int(len(steps) * DATABASE_KILLED_AT)
    doings = {guard_killed_at: kill_guard, database_killed_at: database.kill}
    show_cluster(console, len(steps), guard_killed_at, database_killed_at)

    async def play() -> Played:
        async with AsyncGuardClient(
            [host.endpoint for host in hosts],
            in_flight_max=IN_FLIGHT_MAX,
            timeout_s=60,
            resend_after_s=RESEND_AFTER_S,
        ) as client:
            return await play_steps(console, client, steps, doings)

    with new_runner() as runner:
        return runner.run(play())


def _prove(console: Console, log: Path, hasher: ChainHasher, played: Played) -> None:
    """Every answer stands in the log that is left; that verifies, and gives the same again.

    Raises DemoError, WalDamage.
    """
    decided: Decided = {}

    def observe(place: Place, record: Replayed, _state: GuardState) -> None:
        request, answer = record.request, record.answer
        if request is not None and answer is not None and answer.kind in _ANSWERS:
            is_admitted = answer.kind == _ADMITTED
            decided[place.sequence] = (request.desk, request.client_order_id, is_admitted)

    with telling(console, "verifying the log that is left, and making every decision again"):
        chain = verify_chain(log, hasher, DIALECT)
        started_ns = clock.monotonic_ns()
        report = replay_log(log, hasher, observe=observe)
        seconds = (clock.monotonic_ns() - started_ns) / 1e9
    for order, reply in played.answers:
        expected = (order.desk, order.client_order_id, isinstance(reply, Admit))
        if decided.get(reply.wal_sequence) != expected:
            raise DemoError(f"{reply} is not what record {reply.wal_sequence} says")
    show_proof(console, chain, report, seconds)
