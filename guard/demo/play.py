"""`pretrade-guard demo`: the real daemon, the real client, recorded order flow.

Owns the demo's course: a temporary directory with a fresh key, the daemon as its own process, the
flow played through `AsyncGuardClient`, a clean stop, and then verify and replay of the log that
came out of it. What it prints is `guard.demo.report`'s.

How it fails: exit 1 with what went wrong, should the daemon not start or the proof not hold.
However it ends, directory and daemon are gone then (`guard.process.leaving`).
"""

import asyncio
import contextlib
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Final

import uvloop
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from guard import clock
from guard.client import AsyncGuardClient
from guard.config.keys import create_key, load_key
from guard.console import Console
from guard.demo.flow import Step, read_steps
from guard.demo.report import show_played, show_proof, show_start
from guard.process import leaving, own_process
from guard.process.installation import PACKAGES, described
from guard.protocol.messages import Admit, ErrorReply, Filled, Order, Reject, Reply
from guard.record.codec import DIALECT
from guard.recovery.start_options import NEW_LOG_OPTION
from guard.replay.replay import replay_log
from wal import ChainHasher, WalDamage, verify_chain

IN_FLIGHT_MAX: Final = 64
PROGRESS_STEP: Final = 250
READY_TIMEOUT_S: Final = 30.0
STOP_TIMEOUT_S: Final = 30.0


class DemoError(RuntimeError):
    """The demo could not be played to its end."""


@dataclass(slots=True)
class Played:
    """What came back."""

    orders: int = 0
    requests: int = 0
    seconds: float = 0.0
    latencies_ns: list[int] = field(default_factory=list)
    decisions: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    venues: Counter[int] = field(default_factory=Counter)
    substituted: int = 0
    fill_flags: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    of_refused_orders: int = 0

    def note(self, reply: Reply) -> None:
        """Counts a reply."""
        if isinstance(reply, Admit):
            self.decisions["admit", "", reply.reason] += 1
            self.venues[reply.venue] += 1
            self.substituted += reply.substituted
        elif isinstance(reply, Reject):
            self.decisions["reject", reply.stage, reply.reason] += 1
        elif isinstance(reply, Filled):
            self.fill_flags.update(reply.flags or ["recorded"])
        elif isinstance(reply, ErrorReply):
            self.errors[reply.code] += 1


def run_demo() -> int:
    """Plays the demo; returns the exit code."""
    console = Console()
    try:
        with leaving.temporary_directory("pretrade-guard-demo-") as directory:
            with (
                _daemon(directory) as endpoint,
                asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
            ):
                played = runner.run(_play_all(console, endpoint))
            show_played(console, played)
            _prove(console, directory)
    except BrokenPipeError:
        raise  # nobody is left to be told
    except (DemoError, WalDamage, OSError) as error:
        console.print(f"[bold red]The demo failed:[/] {error}")
        return 1
    return 0


async def _play_all(console: Console, endpoint: str) -> Played:
    steps = list(read_steps())
    async with AsyncGuardClient(
        endpoint, in_flight_max=IN_FLIGHT_MAX, timeout_s=60, resend_after_s=30
    ) as client:
        build = (await client.stats()).build
        show_start(console, endpoint, f"{described(build)}, in {PACKAGES}", len(steps))
        return await _play(console, client, steps)


@contextlib.contextmanager
def _daemon(directory: Path) -> Iterator[str]:
    """The daemon as a process of its own; yields its endpoint, stops it cleanly behind it."""
    key_file = directory / "log.key"
    create_key(key_file)
    config = directory / "demo.toml"
    config.write_text((resources.files("guard") / "data" / "demo.toml").read_text())
    daemon = own_process.start(
        *("guard.cli", "run", "--config", str(config)),
        *("--log-dir", str(directory / "log"), "--key-file", str(key_file), NEW_LOG_OPTION),
        stdout=subprocess.PIPE,
    )
    try:
        ready = own_process.first_line(daemon, READY_TIMEOUT_S)
        if ready is None or "ready: orders " not in ready:
            raise DemoError("the daemon did not start")
        yield ready.split("ready: orders ")[1].split(",")[0]
    except BaseException:
        daemon.kill()  # its log is of no use any more
        raise
    finally:
        daemon.terminate()
        code = _wait_for_end(daemon)
    if code != 0:
        raise DemoError(f"the daemon ended with code {code}")


def _wait_for_end(daemon: "subprocess.Popen[bytes]") -> int:
    """Its exit code. Its last line is read, and nobody's."""
    try:
        daemon.communicate(timeout=STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        daemon.kill()
        raise DemoError(f"the daemon did not stop within {STOP_TIMEOUT_S:.0f} s") from None
    return daemon.returncode


async def _play(console: Console, client: AsyncGuardClient, steps: list[Step]) -> Played:
    played = Played()
    answers: dict[int, asyncio.Future[Reply]] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    started_ns = clock.monotonic_ns()
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as progress:
        task = progress.add_task("playing recorded BTC-USD flow", total=len(steps))
        for number, step in enumerate(steps):
            await _play_step(client, step, answers, played)
            if number % PROGRESS_STEP == 0:
                progress.update(task, completed=number)
        await client.ping()  # answered after everything before it
    played.seconds = (clock.monotonic_ns() - started_ns) / 1e9
    return played


async def _play_step(
    client: AsyncGuardClient,
    step: Step,
    answers: dict[int, asyncio.Future[Reply]],
    played: Played,
) -> None:
    """Sends a step. What happens to an order is sent once the order itself has been answered."""
    is_order = isinstance(step.request, Order)
    order_answer = None if is_order else answers.get(step.order_id)
    if order_answer is not None and isinstance(await order_answer, Reject):
        # A refused order never reached the market: what the recording says of it did not happen.
        played.of_refused_orders += 1
        return
    sent_ns = clock.monotonic_ns()
    answer = await client.send(step.request)

    def on_answer(future: asyncio.Future[Reply]) -> None:
        if future.cancelled() or future.exception() is not None:
            return  # whoever waits for it, or for the ping behind it, is told
        played.latencies_ns.append(clock.monotonic_ns() - sent_ns)
        played.note(future.result())

    answer.add_done_callback(on_answer)
    played.requests += 1
    if is_order:
        played.orders += 1
        answers[step.order_id] = answer


def _prove(console: Console, directory: Path) -> None:
    """Verifies and replays the log that the demo just made. Raises WalDamage."""
    hasher = ChainHasher(load_key(directory / "log.key"))
    chain = verify_chain(directory / "log", hasher, DIALECT)
    started_ns = clock.monotonic_ns()
    report = replay_log(directory / "log", hasher)
    show_proof(console, chain, report, (clock.monotonic_ns() - started_ns) / 1e9)
