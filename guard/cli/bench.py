"""`pretrade-guard bench`: how fast is it here?"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from guard.cli.base import (
    EXIT_FAILED,
    EXIT_GOOD,
    Commands,
    UsageError,
    complain,
    write_output,
)

SECONDS_MAX: Final = 3_600.0
ROUNDS_MAX: Final = 100
ORDERS_ONLY: Final = "1/0/0"
SCALE_ORDERS: Final = 1_000_000


def add(commands: Commands) -> None:
    """Adds the command."""
    bench = commands.add_parser(
        "bench",
        help="measure latency and throughput, beside peers if asked to",
        description="Measures a guard of its own, on a temporary log, or a running one. Without "
        "--rate, --in-flight or --flow it runs the standard loads.",
    )
    load = bench.add_mutually_exclusive_group()
    load.add_argument("--rate", type=int, metavar="N", help="open loop: N orders a second")
    load.add_argument("--in-flight", type=int, metavar="N", help="closed loop: N messages")
    load.add_argument("--flow", choices=("real",), help="open loop: the recorded real flow")
    bench.add_argument("--speed", type=int, metavar="N", help="of --flow real (default 100)")
    bench.add_argument("--clients", type=int, default=4, metavar="N", help="connections")
    bench.add_argument("--orders-per-message", type=int, default=1, metavar="N")
    bench.add_argument("--mix", default=ORDERS_ONLY, metavar="O/F/C", help="orders/fills/cancels")
    bench.add_argument("--desks", type=int, default=4, metavar="N")
    bench.add_argument("--venues", type=int, default=3, metavar="N")
    bench.add_argument("--processes", type=int, default=1, metavar="N", help="of the generator")
    bench.add_argument("--seconds", type=float, default=3.0, metavar="S", help="of each run")
    bench.add_argument("--warm-up-s", type=float, default=1.0, metavar="S", help="before it counts")
    bench.add_argument("--rounds", type=int, default=3, metavar="N")
    bench.add_argument(
        "--scale",
        action="store_true",
        help="instead of loads: the cost of an order from few to many desks, venues, remembered "
        "orders; memory; start-up",
    )
    bench.add_argument(
        "--scale-orders", type=int, metavar="N", help="remembered at most (default 1000000)"
    )
    bench.add_argument("--compare", action="store_true", help="peers beside it, and the targets")
    bench.add_argument(
        "--endpoint",
        metavar="E",
        help="a running guard, whose configuration --print-config gives; its log is written to",
    )
    bench.add_argument("--pid", type=int, metavar="N", help="with --endpoint: its process")
    bench.add_argument(
        "--directory",
        type=Path,
        metavar="DIR",
        help="where the temporary log goes (default: the system's place for temporary files)",
    )
    bench.add_argument("--json", type=Path, metavar="FILE", help="write the report there too")
    bench.add_argument(
        "--trace",
        type=Path,
        metavar="FILE",
        help="watch the daemon, 10 ms by 10 ms: what ran while the slowest messages waited; JSON",
    )
    bench.add_argument("--print-config", action="store_true", help="print it, and measure nothing")
    bench.set_defaults(command=_bench)


def _bench(options: argparse.Namespace) -> int:
    from guard.process import leaving

    with leaving.nothing_behind(heeds_signals=options.is_own_process):
        if options.directory is None:
            with leaving.held():  # it is found by writing a file there
                options.directory = Path(tempfile.gettempdir())
        return _measure(options)


def _measure(options: argparse.Namespace) -> int:
    from guard.bench.command import run_bench, run_scale
    from guard.bench.site import REMEMBERED_ORDERS_MAX, BenchError, config_text

    try:
        config = config_text(options.desks, options.venues, REMEMBERED_ORDERS_MAX)
        session = _session(options)
        scale_orders = _scale_orders(options)
    except ValueError as error:
        raise UsageError(str(error)) from error
    if options.print_config:
        sys.stdout.write(config)
        return EXIT_GOOD
    if not options.directory.is_dir():
        raise UsageError(f"--directory: {options.directory} is no directory")
    for name, path in (("--json", options.json), ("--trace", options.trace)):
        if path is not None and not path.parent.is_dir():
            raise UsageError(f"{name}: {path.parent} is no directory")
    try:
        if options.scale:
            report = run_scale(session, scale_orders)
        else:
            report, trace = run_bench(session, compares=options.compare)
            if options.trace is not None:
                _write_json(options.trace, trace)
    except BenchError as error:
        return complain(EXIT_FAILED, error)
    if options.json is not None:
        _write_json(options.json, report)
    return EXIT_GOOD


def _write_json(path: Path, value: object) -> None:
    import msgspec

    write_output(path, msgspec.json.format(msgspec.json.encode(value)) + b"\n")


def _session(options: argparse.Namespace) -> Any:
    """The checked options. Raises ValueError naming the option."""
    from guard.bench.session import Options

    if options.compare and options.endpoint is not None:
        raise ValueError("--compare: allowed only with a guard of its own, without --endpoint")
    if options.pid is not None and options.endpoint is None:
        raise ValueError("--pid: allowed only with --endpoint")
    if options.trace is not None and (options.scale or options.endpoint is not None):
        raise ValueError("--trace: allowed only with loads on a guard of its own")
    loads = _loads(options)
    _check("--seconds", options.seconds, 0.1, SECONDS_MAX)
    _check("--warm-up-s", options.warm_up_s, 0.0, SECONDS_MAX)
    _check("--rounds", options.rounds, 1, ROUNDS_MAX)
    _check("--processes", options.processes, 1, options.clients)
    return Options(
        loads,
        options.rounds,
        options.seconds,
        options.warm_up_s,
        options.desks,
        options.venues,
        options.processes,
        options.directory,
        options.endpoint,
        options.pid,
        traces=options.trace is not None,
    )


def _scale_orders(options: argparse.Namespace) -> int:
    """How many orders `--scale` remembers. Raises ValueError naming the option."""
    from guard.bench.scale import ORDERS_MIN
    from guard.bench.site import REMEMBERED_ORDERS_MAX

    if not options.scale:
        if options.scale_orders is not None:
            raise ValueError("--scale-orders: allowed only with --scale")
        return 0
    if options.compare or options.endpoint is not None:
        raise ValueError("--scale: allowed only with a guard of its own, without peers")
    orders: int = SCALE_ORDERS if options.scale_orders is None else options.scale_orders
    _check("--scale-orders", orders, ORDERS_MIN, REMEMBERED_ORDERS_MAX)
    return orders


def _loads(options: argparse.Namespace) -> tuple[Any, ...]:
    """What to run. Raises ValueError naming the option."""
    from guard.bench.loads import STANDARD, custom_load
    from guard.bench.workload import parse_mix

    if options.speed is not None and options.flow is None:
        raise ValueError("--speed: allowed only with --flow real")
    try:
        mix = parse_mix(options.mix)
    except ValueError as error:
        raise ValueError(f"--mix: {error}") from error
    speed = None if options.flow is None else options.speed if options.speed is not None else 100
    if (options.rate, options.in_flight, speed) == (None, None, None):
        if mix != parse_mix(ORDERS_ONLY) or options.orders_per_message != 1:
            raise ValueError(
                "--mix, --orders-per-message: allowed only with --rate or --in-flight; the "
                "standard loads have their own"
            )
        return STANDARD
    return (
        custom_load(
            options.clients,
            options.in_flight,
            options.rate,
            speed,
            mix,
            options.orders_per_message,
        ),
    )


def _check(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise ValueError(f"{name}: {value:g} is not allowed; allowed: {least:g} to {most:g}")
