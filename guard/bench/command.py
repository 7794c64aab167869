"""`pretrade-guard bench`, from its checked options to the report.

Owns the order: rounds, the figures that need no daemon, the targets, what could not be measured.
"""

import os
import shlex
import statistics
import sys
from dataclasses import replace
from datetime import UTC, datetime
from importlib import metadata
from typing import Final

from guard import clock
from guard.bench import builds
from guard.bench.conditions import MEMORY_FILESYSTEMS, conditions, filesystem_of
from guard.bench.document import REPORT_VERSION, TRACE_VERSION, Report, Trace
from guard.bench.floor import DISK, DISK_OVER_ZEROS, DOORS
from guard.bench.loads import SATURATED
from guard.bench.peers import missing_peers, redis_version
from guard.bench.replay_rate import measure_replay
from guard.bench.scale import measure_scale
from guard.bench.session import DIRECTORY_PREFIX, Findings, Options, run_rounds
from guard.bench.show import show_report, show_timelines, wide_console
from guard.bench.targets import judge
from guard.bench.wheel import measure_kernels
from guard.process import installation, leaving

KERNEL_VENUES: Final = 22
PEERS: Final = frozenset({"redis", "wheel", *DOORS, DISK, DISK_OVER_ZEROS})


def run_bench(options: Options, *, compares: bool) -> tuple[Report, Trace]:
    """Runs it, says on stderr how it goes, and prints what it found. Raises BenchError, OSError."""
    started_at = datetime.fromtimestamp(clock.wall_ns() / 1e9, UTC).isoformat(timespec="seconds")
    not_measured = []
    if compares:
        builds.check_peers_comparable()
        missing = missing_peers()
        not_measured = [f"{name}: {reason}" for name, reason in missing.items()]
        alone = [load.name for load in options.loads if load.peers <= {DISK, DISK_OVER_ZEROS}]
        if alone:
            not_measured.append(f"peers under {'; '.join(alone)}: none is made for it here")
        options = replace(options, peers=PEERS - missing.keys())
    filesystem, _ = filesystem_of(options.directory)
    if filesystem in MEMORY_FILESYSTEMS:
        not_measured.append(f"the disk: {options.directory} is on {filesystem}, in memory alone")
    conditions_before = conditions(options.directory)
    findings = run_rounds(options, _say)
    is_own = options.endpoint is None
    found = {
        **builds.as_conditions(builds.only_build(findings.builds), is_own=is_own),
        **conditions_before,
        **_session_conditions(options),
    }
    figures = _figures(findings, options)
    runs = findings.runs()
    report = Report(
        REPORT_VERSION,
        started_at,
        shlex.join(["pretrade-guard", *sys.argv[1:]]),
        found,
        runs,
        judge(runs, figures) if compares else [],
        figures,
        not_measured,
    )
    console = wide_console()
    show_report(console, report)
    show_timelines(console, findings.timelines)
    trace = Trace(TRACE_VERSION, started_at, report.command, found, findings.timelines)
    return report, trace


def run_scale(options: Options, orders: int) -> Report:
    """Runs `guard.bench.scale`, says on stderr how it goes, and prints what it found."""
    started_at = datetime.fromtimestamp(clock.wall_ns() / 1e9, UTC).isoformat(timespec="seconds")
    mine = installation.build()  # most of it is measured in this process, and the daemon is asked
    found = {**builds.as_conditions(mine, is_own=True), **conditions(options.directory)}
    figures = measure_scale(orders, options.directory, options.duration_s, _say)
    command = shlex.join(["pretrade-guard", *sys.argv[1:]])
    report = Report(REPORT_VERSION, started_at, command, found, [], [], figures, [])
    show_report(wide_console(), report)
    return report


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def _session_conditions(options: Options) -> dict[str, str]:
    """What the loads have in common, and the peers' versions."""
    peers = []
    if "redis" in options.peers:
        peers.append(f"Redis {redis_version()} (appendonly yes, appendfsync always)")
    if "wheel" in options.peers:
        peers.append(f"calybris {metadata.version('calybris')}")
    shown = {
        "load": (
            f"{options.rounds} rounds of {options.duration_s:g} s behind {options.warm_up_s:g} s "
            "of warm-up (the recorded flow: whole), medians of the rounds; "
            f"{options.desks} desks, {options.venues} venues, MessagePack over TCP on loopback"
        ),
        "generator": f"{options.processes} process(es) on the same machine",
    }
    return {**shown, "peers": ", ".join(peers)} if peers else shown


def _figures(findings: Findings, options: Options) -> dict[str, float]:
    """What is no load on a daemon."""
    os.sync()  # the loads' last writes are nobody's cost any more
    figures: dict[str, float] = {}
    for load, rates in findings.wheel_orders_a_second.items():
        name = "wheel_orders_a_second" if load == SATURATED else f"wheel_orders_a_second, {load}"
        figures[name] = statistics.median(rates)
    if options.peers:
        kernels = measure_kernels(KERNEL_VENUES)
        figures["kernel_ns"] = next(iter(kernels.values()))
        if len(kernels) > 1:
            figures["wheel_kernel_ns"] = kernels["wheel, a batch of objects"]
    if "wheel" in options.peers:
        _say("replay")
        with leaving.temporary_directory(DIRECTORY_PREFIX, options.directory) as place:
            figures.update(measure_replay(place))
    return figures
