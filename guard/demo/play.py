"""`pretrade-guard demo`: the real daemon, the real client, recorded order flow.

Owns the demo's course: a temporary directory with a fresh key, the daemon as its own process, the
flow played through `AsyncGuardClient`, a clean stop, and then verify and replay of the log that
came out of it. What it prints is `guard.demo.report`'s. To be kept, all this is made within the
directory that is to keep it, and gets its names there once it is whole.

How it fails: exit 1 with what went wrong, should the daemon not start or the proof not hold.
However it ends, the temporary directory and the daemon are gone then (`guard.process.leaving`).
"""

import asyncio
import contextlib
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Final

import uvloop
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from guard import clock
from guard.audit.audit import Audit
from guard.audit.page import render_page
from guard.client import AsyncGuardClient
from guard.config.keys import create_key, load_key
from guard.console import Console
from guard.demo.flow import Step, read_steps, with_marks
from guard.demo.report import show_kept, show_played, show_proof, show_start
from guard.process import leaving, own_process
from guard.process.installation import PACKAGES, described
from guard.protocol.messages import (
    Admit,
    ErrorReply,
    Filled,
    Mark,
    Marked,
    Order,
    Reject,
    Reply,
    Request,
)
from guard.protocol.reasons import Refusal
from guard.record.codec import DIALECT
from guard.recovery.start_options import NEW_LOG_OPTION
from guard.replay.replay import replay_log
from wal import (
    PRIVATE_DIRECTORY_MODE,
    PRIVATE_FILE_MODE,
    ChainHasher,
    WalDamage,
    publish_file,
    verify_chain,
)

IN_FLIGHT_MAX: Final = 64
PROGRESS_STEP: Final = 250
READY_TIMEOUT_S: Final = 30.0
LOG_NAME: Final = "log"
KEY_NAME: Final = "log.key"
CONFIG_NAME: Final = "demo.toml"
PAGE_NAME: Final = "day.html"
NOT_SUBSTITUTED: Final = Refusal.SUBSTITUTION_NOT_ALLOWED.word
FREE_PORT: Final = "tcp://127.0.0.1:*"
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
    refused: tuple[str, str] | None = None  # desk and id of one that no venue would have taken
    answers: list[tuple[Order, Admit | Reject]] = field(default_factory=list)

    def note(self, request: Request, reply: Reply) -> None:
        """Counts a reply, and keeps that to an order."""
        if isinstance(request, Order) and isinstance(reply, Admit | Reject):
            self.answers.append((request, reply))
        if isinstance(reply, Admit):
            self.decisions["admit", "", reply.reason] += 1
            self.venues[reply.venue] += 1
            self.substituted += reply.substituted
        elif isinstance(reply, Reject):
            self.decisions["reject", reply.stage, reply.reason] += 1
            is_telling = (
                reply.stage == "kernel" and reply.reason != Refusal.SUBSTITUTION_NOT_ALLOWED.word
            )
            if self.refused is None and isinstance(request, Order) and is_telling:
                self.refused = request.desk, request.client_order_id
        elif isinstance(reply, Filled):
            self.fill_flags.update(reply.flags or ["recorded"])
        elif isinstance(reply, ErrorReply):
            self.errors[reply.code] += 1


def run_demo(keep: Path | None = None, program: str = "pretrade-guard") -> int:
    """Plays the demo; returns the exit code.

    `keep`: a directory, new or empty, that is left with all that it was about. `program`: how the
    commands that go on from there are called.
    """
    console = Console()
    try:
        with _place(keep) as directory:
            with _daemon(console, directory) as endpoint, new_runner() as runner:
                played = runner.run(_play_all(console, endpoint))
            show_played(console, played)
            _prove(console, directory, keep)
        if keep is not None:
            show_kept(console, keep, program, played.refused)
    except BrokenPipeError:
        raise  # nobody is left to be told
    except (DemoError, WalDamage, OSError) as error:
        console.print(f"[bold red]The demo failed:[/] {escape(str(error))}")
        return 1
    return 0


def new_runner() -> "asyncio.Runner":
    """On uvloop."""
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


@contextlib.contextmanager
def _place(keep: Path | None) -> Iterator[Path]:
    """A directory to work in. What is in it at the end goes to `keep`, or away."""
    if keep is None:
        with leaving.temporary_directory("pretrade-guard-demo-") as directory:
            yield directory
        return
    is_new = not keep.exists()
    keep.mkdir(PRIVATE_DIRECTORY_MODE, parents=True, exist_ok=True)
    try:
        with leaving.temporary_directory(".demo-", keep) as directory:
            yield directory
            with leaving.held():
                for made in directory.iterdir():
                    made.rename(keep / made.name)
    except BaseException:
        if is_new:
            with contextlib.suppress(OSError):  # somebody has put something there meanwhile
                keep.rmdir()
        raise


@contextlib.contextmanager
def telling(console: Console, what: str) -> Iterator[None]:
    """Says on a terminal what takes a while."""
    if not console.is_terminal:
        yield
        return
    with console.status(what):
        yield


async def _play_all(console: Console, endpoint: str) -> Played:
    steps = list(with_marks(read_steps()))
    async with AsyncGuardClient(
        endpoint, in_flight_max=IN_FLIGHT_MAX, timeout_s=60, resend_after_s=30
    ) as client:
        build = (await client.stats()).build
        show_start(console, endpoint, f"{described(build)}, in {PACKAGES}", len(steps))
        return await play_steps(console, client, steps)


@contextlib.contextmanager
def _daemon(console: Console, directory: Path) -> Iterator[str]:
    """The daemon as a process of its own; yields its endpoint, stops it cleanly behind it."""
    create_key(directory / KEY_NAME)
    config = directory / CONFIG_NAME
    config.write_text((resources.files("guard") / "data" / CONFIG_NAME).read_text())
    daemon = own_process.start(
        *("guard.cli", "run", "--config", str(config), "--orders", FREE_PORT, NEW_LOG_OPTION),
        stdout=subprocess.PIPE,
    )
    try:
        with telling(console, "starting the daemon"):
            ready = own_process.first_line(daemon, READY_TIMEOUT_S)
        if ready is None or "ready: orders " not in ready:
            raise DemoError("the daemon did not start")
        yield ready.split("ready: orders ")[1].split(",")[0]
    except BaseException:
        daemon.kill()  # its log is of no use any more
        raise
    finally:
        daemon.terminate()
        code = wait_for_end(daemon)
    if code != 0:
        raise DemoError(f"the daemon ended with code {code}")


def wait_for_end(daemon: "subprocess.Popen[bytes]") -> int:
    """Its exit code; its last lines are read, and nobody's. Raises DemoError."""
    try:
        daemon.communicate(timeout=STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        daemon.kill()
        raise DemoError(f"the daemon did not stop within {STOP_TIMEOUT_S:.0f} s") from None
    return daemon.returncode


async def play_steps(
    console: Console,
    client: AsyncGuardClient,
    steps: list[Step | Mark],
    doings: Mapping[int, Callable[[], None]] | None = None,
) -> Played:
    """Plays them all. `doings`: what is to be done before the steps of these numbers.

    Raises DemoError for a mark that is refused, and what the client raises.
    """
    played = Played()
    doings = doings or {}
    answers: dict[int, asyncio.Future[Reply]] = {}
    marks: list[asyncio.Future[Marked | ErrorReply]] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    bar: Any = {"console": console, "transient": True, "disable": not console.is_terminal}
    started_ns = clock.monotonic_ns()
    with Progress(*columns, TimeElapsedColumn(), **bar) as progress:
        task = progress.add_task("playing recorded BTC-USD flow", total=len(steps))
        for number, step in enumerate(steps):
            if number in doings:
                doings[number]()
            if isinstance(step, Mark):
                marks.append(await client.send(step))
            else:
                await _play_step(client, step, answers, played)
            if number % PROGRESS_STEP == 0:
                progress.update(task, completed=number)
        await client.ping()  # answered after everything before it
    for mark in map(asyncio.Future.result, marks):
        if isinstance(mark, ErrorReply):
            raise DemoError(f"a mark was not taken: {mark.message}")
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
        played.note(step.request, future.result())

    answer.add_done_callback(on_answer)
    played.requests += 1
    if is_order:
        played.orders += 1
        answers[step.order_id] = answer


def _prove(console: Console, directory: Path, keep: Path | None) -> None:
    """Verifies and replays the log that the demo just made, and writes its page if it is kept.

    Raises WalDamage.
    """
    log = directory / LOG_NAME
    hasher = ChainHasher(load_key(directory / KEY_NAME))
    audit = Audit()
    with telling(console, "verifying its log, and making every decision again"):
        chain = verify_chain(log, hasher, DIALECT)
        started_ns = clock.monotonic_ns()
        report = replay_log(log, hasher, observe=None if keep is None else audit.observe)
        seconds = (clock.monotonic_ns() - started_ns) / 1e9
    if keep is not None:
        page = render_page(audit.document(report), str(keep / LOG_NAME))
        publish_file(directory / PAGE_NAME, page.encode(), mode=PRIVATE_FILE_MODE)
    show_proof(console, chain, report, seconds)
