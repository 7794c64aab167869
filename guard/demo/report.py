"""What the demo prints.

Owns its words and tables (rich); computes nothing but percentiles and sums.
"""

import shlex
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from guard.console import Console
from guard.replay.replay import ReplayReport
from wal import ChainReport

if TYPE_CHECKING:
    from guard.demo.play import Played

MICROCENTS_PER_USD = 100_000_000


def show_start(console: Console, endpoint: str, build: str, step_count: int) -> None:
    """What is about to happen, and to which build of the daemon."""
    console.print(
        f"[bold]Pretrade Guard demo[/]  a real daemon serves {endpoint}; its log is keyed, "
        f"and no answer leaves before fdatasync."
    )
    console.print(f"The daemon says that it is {build}.", highlight=False, soft_wrap=True)
    console.print(
        f"{step_count:,} market events of BTC-USD, Coinbase, 2018-07-13, played by four desks.\n"
    )


def show_cluster(
    console: Console, step_count: int, guard_killed_at: int, database_killed_at: int
) -> None:
    """What is about to happen, where the log is on a cluster."""
    console.print(
        "[bold]Pretrade Guard demo[/]  a log on three PostgreSQL servers of this machine: no "
        "answer leaves before its record is on the serving guard's disk and on two of the three. A "
        "second guard follows."
    )
    console.print(
        f"{step_count:,} market events of BTC-USD, Coinbase, 2018-07-13, played by four desks. At "
        f"{guard_killed_at:,} the serving guard is killed, at {database_killed_at:,} one of the "
        "servers.\n"
    )


def show_takeover(console: Console, answer_count: int, longest_ns: int) -> None:
    """What the client saw of the guard's death."""
    console.print(
        f"Takeover            no request waited longer than {longest_ns / 1e9:.1f} s; the client "
        "has sent again, under the same ids, whatever was not answered"
    )
    console.print(
        f"Answers             each of {answer_count:,} to orders, by the guard that was killed and "
        "by the one that went on, stands in the log that is left:\n"
    )


def show_played(console: Console, played: "Played") -> None:
    """The decisions by reason, the rates, and what else came back."""
    table = Table(title="Decisions", title_justify="left")
    for name in ("answer", "stage", "reason"):
        table.add_column(name)
    table.add_column("orders", justify="right")
    for (answer, stage, reason), count in sorted(
        played.decisions.items(), key=lambda item: (item[0][0], item[0][1], -item[1])
    ):
        style = "green" if answer == "admit" else "yellow"
        table.add_row(f"[{style}]{answer}[/]", stage, reason, f"{count:,}")
    console.print(table)
    venues = ", ".join(
        f"venue {venue}: {count:,}" for venue, count in sorted(played.venues.items())
    )
    console.print(f"Admitted by venue   {venues} ({played.substituted:,} substituted)")
    cuts = statistics.quantiles(played.latencies_ns, n=1000)
    console.print(
        f"Throughput          {played.orders / played.seconds:,.0f} orders/s "
        f"({played.requests / played.seconds:,.0f} requests/s) through the Python client"
    )
    console.print(
        f"Latency             p50 {cuts[499] / 1e6:.2f} ms, p99 {cuts[989] / 1e6:.2f} ms, "
        f"p99.9 {cuts[998] / 1e6:.2f} ms, each with its record on disk"
    )
    flags = ", ".join(f"{name} {count:,}" for name, count in sorted(played.fill_flags.items()))
    console.print(f"Fills               {flags}")
    errors = ", ".join(f"{code} {count:,}" for code, count in sorted(played.errors.items()))
    console.print(f"Not to be canceled  {errors or 'none'}")
    console.print(
        f"Never seen          {played.fill_flags['unknown']:,} fills and "
        f"{played.errors['unknown_order']:,} cancels of orders older than the recording"
    )
    console.print(
        f"Not sent            {played.of_refused_orders:,} market events of orders that the guard "
        "had refused\n"
    )


def show_proof(
    console: Console, chain: ChainReport, report: ReplayReport, replay_seconds: float
) -> None:
    """The ledger lines, and that the log proves them."""
    table = Table(title="Ledger, USD", title_justify="left")
    table.add_column("desk")
    for name in ("granted", "remaining", "held", "spent"):
        table.add_column(name, justify="right")
    snapshot = report.engine.state.ledger.snapshot()
    for line in snapshot.tenants:
        table.add_row(
            line.tenant_id,
            _usd(line.initial_microcents),
            _usd(line.remaining_microcents),
            _usd(line.reserved_microcents),
            _usd(line.committed_microcents),
        )
    console.print(table)
    console.print(
        f"Chain head          record {chain.head.sequence:,}, {chain.head.entry_hash[:16]}… "
        f"({chain.byte_count / 1e6:.1f} MB, {snapshot.active_reservations:,} holds open)"
    )
    console.print(
        f"[bold green]verify[/]  all {chain.record_count:,} records chain under the log's key"
    )
    console.print(
        f"[bold green]replay[/]  all {report.decision_count:,} decisions made again from the log "
        f"alone, byte for byte the same, in {replay_seconds:.1f} s; every desk's ledger balances"
    )


def show_kept(
    console: Console, directory: Path, program: str, refused: tuple[str, str] | None
) -> None:
    """What was left where, and what to do with it next: lines that a shell takes."""

    def path(*names: str) -> str:
        return shlex.quote(str(directory.joinpath(*names)))

    log = f"{path('log')} --key-file {path('log.key')}"
    asked = ""
    if refused is not None:
        desk, client_order_id = map(shlex.quote, refused)
        asked = f" --desk {desk} --explain {client_order_id}"
    commands = (
        ("check the chain of the log", f"{program} verify {log}"),
        ("make every decision again" + ", and explain a refused order" * bool(asked),
         f"{program} replay {log}{asked}"),
        ("serve orders, going on with this log (Ctrl-C stops it)",
         f"{program} run --config {path('demo.toml')}"),
    )  # fmt: skip
    plain: Any = {"markup": False, "highlight": False, "soft_wrap": True}
    console.print(
        f"\nKept in {directory}: log, log.key, demo.toml, and day.html, a page for any browser.\n"
        "What to do next:\n",
        **plain,
    )
    for what, line in commands:
        console.print(f"{what}:\n  {line}", **plain)


def _usd(microcents: int) -> str:
    return f"{microcents / MICROCENTS_PER_USD:,.2f}"
