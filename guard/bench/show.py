"""What the bench prints for people. Owns layout and no figures."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from rich.table import Table

from guard.bench.document import Report, Run, Target
from guard.bench.timeline import Timeline, slowest_slices
from guard.console import Console
from guard.histogram import PERCENTILES

TABLE_COLUMNS: Final = 160
REFUSALS_SHOWN: Final = 3  # the commonest; the JSON has all


def wide_console() -> Console:
    """The terminal's own width; in a file, as wide as the tables need."""
    console = Console()
    return console if console.is_terminal else Console(width=TABLE_COLUMNS)


def show_report(console: Console, report: Report) -> None:
    """All of it, as tables."""
    for name, value in report.conditions.items():
        console.print(f"[bold]{name.replace('_', ' ')}[/]: {value}", highlight=False)
    if report.runs:
        console.print(_latency_table(report.runs))
        console.print(_cost_table(report.runs))
    for name, figure in report.figures.items():
        console.print(f"{name.replace('_', ' ')}: {figure:,.2f}", highlight=False)
    if report.targets:
        console.print(_target_table(report.targets))
    for reason in report.not_measured:
        console.print(f"[bold]not measured[/]: {reason}", highlight=False)


def show_timelines(console: Console, timelines: Sequence[Timeline]) -> None:
    """Of each round: the slowest messages by what ran then, and the slowest slices."""
    for timeline in timelines:
        console.print(_effect_table(timeline))
        console.print(_slice_table(timeline))


def _effect_table(timeline: Timeline) -> Table:
    title = f"{timeline.load}: the slowest message of each 10 ms, in µs, by what ran then"
    table = Table("ran in the slice", title=title)
    for name in ("slices", "p50", "p90", "max"):
        table.add_column(name, justify="right")
    for one in timeline.effects:
        times_ns = (one.slowest_p50_ns, one.slowest_p90_ns, one.slowest_max_ns)
        shown = (f"{time_ns / 1e3:,.0f}" if one.slices else "" for time_ns in times_ns)
        table.add_row(one.what, f"{one.slices:,}", *shown)
    return table


def _slice_table(timeline: Timeline) -> Table:
    table = Table(title="the slowest slices")
    for name in ("at ms", "messages", "slowest µs", "main ran µs", "waited µs", "log bytes"):
        table.add_column(name, justify="right")
    table.add_column("ran")
    for one in slowest_slices(timeline):
        times_ns = (one.slowest_ns, one.main_ran_ns, one.main_waited_ns)
        shown = (f"{time_ns / 1e3:,.0f}" for time_ns in times_ns)
        at_ms = f"{one.from_ns / 1e6:,.0f}"
        table.add_row(at_ms, str(one.messages), *shown, f"{one.log_bytes:,}", ", ".join(one.ran))
    return table


def _latency_table(runs: list[Run]) -> Table:
    table = Table(title="latency in µs, from when a message was due (open loop) or sent")
    for name in ("target", "load"):
        table.add_column(name)
    for name in ("requests/s", *PERCENTILES, "max"):
        table.add_column(name, justify="right")
    for run in runs:
        latencies = (f"{run.latency_ns[name] / 1e3:,.0f}" for name in (*PERCENTILES, "max"))
        table.add_row(run.target, run.load, f"{run.requests_a_second:,.0f}", *latencies)
    return table


def _cost_table(runs: list[Run]) -> Table:
    table = Table(title="replies, records a batch, processor time in µs a request")
    for name in (
        "target",
        "load",
        "replies",
        "refusals",
        "batch p50/max",
        "sync µs",
        "sent late",
        "processor",
    ):
        table.add_column(name)
    for run in runs:
        if not run.cpu_us_a_request:
            continue  # the disk takes no requests
        batch = run.batch_records
        table.add_row(
            run.target,
            run.load,
            _counts(run.replies),
            _counts(dict(Counter(run.refusals).most_common(REFUSALS_SHOWN))),
            f"{batch['p50']}/{batch['max']}" if batch else "",
            _syncs(run.sync_ns),
            _lateness(run.lateness_ns),
            "; ".join(f"{name}: {_times(times)}" for name, times in run.cpu_us_a_request.items()),
        )
    return table


def _target_table(targets: list[Target]) -> Table:
    table = Table(title="what must be shown")
    for name in ("what", "target", "measured", "met"):
        table.add_column(name)
    for row in targets:
        met = {True: "[green]yes[/]", False: "[red]no[/]", None: ""}[row.met]
        table.add_row(row.what, row.target, row.measured, met)
    return table


def _syncs(times_ns: dict[str, int]) -> str:
    """The mean, and the upper end of the class that the 99th percentile falls into."""
    if not times_ns:
        return ""
    return f"mean {times_ns['mean'] / 1e3:,.0f}, p99 ≤ {times_ns['p99_at_most'] / 1e3:,.0f}"


def _lateness(times_ns: dict[str, int]) -> str:
    """Of an open loop: how late the generator itself was. It is part of the latencies."""
    if not times_ns["count"]:
        return ""
    return f"p50 {times_ns['p50'] / 1e3:,.0f}, p99 {times_ns['p99'] / 1e3:,.0f} µs"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def _times(times: dict[str, float]) -> str:
    shown = [f"{name} {used:.1f}" for name, used in times.items() if used >= 0.05]
    return f"{sum(times.values()):.1f}" + (f" ({', '.join(shown)})" if len(shown) > 1 else "")
