"""What must be shown, row by row, and whether it was.

Owns the targets and their arithmetic: ratios of medians of one session. A row that could not be
measured says why, and is neither met nor missed.
"""

from typing import Final

from guard.bench.document import Run, Target
from guard.bench.floor import DISK, FLOOR_OVER_ZEROS
from guard.bench.loads import (
    FIFTY_IN_FLIGHT,
    ONE_IN_FLIGHT,
    REAL_FLOW,
    SATURATED,
    SATURATED_64,
    TWO_HUNDRED_IN_FLIGHT,
)

KERNEL_NS_MAX: Final = 115.0
FLOOR_RATIO_MAX: Final = 1.15
REDIS_RATIO_MIN: Final = 2.0
SATURATED_MIN: Final = 80_000
WHEEL_RATIO_MIN: Final = 2.5
SATURATED_64_MIN: Final = 120_000
REPLAY_RATIO_MIN: Final = 3.0
REPLAY_CORES_RATIO_MIN: Final = 1.8
FLOW_P999_NS_MAX: Final = 5_000_000

NOT_MEASURED: Final = "not measured"


def judge(runs: list[Run], figures: dict[str, float]) -> list[Target]:
    """The rows, in the order in which they are shown."""
    by_name = {(run.target, run.load): run for run in runs}
    targets = [_kernel(figures), *_one_in_flight(by_name)]
    for load in (FIFTY_IN_FLIGHT, TWO_HUNDRED_IN_FLIGHT):
        targets.extend(_beside_redis(load, by_name))
    targets.extend(_saturated(by_name, figures))
    targets.extend(_replay(figures))
    targets.append(_flow(by_name))
    return targets


def _row(what: str, target: str, measured: str | None, *, met: bool) -> Target:
    if measured is None:
        return Target(what, target, NOT_MEASURED, None)
    return Target(what, target, measured, met)


def _kernel(figures: dict[str, float]) -> Target:
    ours, wheel = figures.get("kernel_ns"), figures.get("wheel_kernel_ns")
    measured = None if ours is None else f"{ours:.0f} ns"
    if measured is not None and wheel is not None:
        measured += f"; the wheel's batch of objects {wheel:.0f} ns"
    return _row(
        "a decision, 22 venues, packed rows, one core",
        f"≤ {KERNEL_NS_MAX:.0f} ns",
        measured,
        met=ours is not None and ours <= KERNEL_NS_MAX,
    )


def _one_in_flight(by_name: dict[tuple[str, str], Run]) -> tuple[Target, Target]:
    ours, below, redis = (
        by_name.get((target, ONE_IN_FLIGHT)) for target in ("guard", FLOOR_OVER_ZEROS, "redis")
    )
    floor = tail = None
    is_floor_met = is_tail_met = False
    if ours is not None and below is not None:
        floor_ns = below.latency_ns["p50"]
        ratio = ours.latency_ns["p50"] / floor_ns
        floor = f"{_us(ours.latency_ns['p50'])} / {_us(floor_ns)} = {ratio:.2f}×"
        is_floor_met = ratio <= FLOOR_RATIO_MAX
    if ours is not None and redis is not None:
        tail = f"{_us(ours.latency_ns['p99'])}; Redis {_us(redis.latency_ns['p99'])}"
        is_tail_met = ours.latency_ns["p99"] <= redis.latency_ns["p99"]
    return (
        _row(
            "1 in flight: p50 to the floor over zeros",
            f"≤ {FLOOR_RATIO_MAX}×",
            floor,
            met=is_floor_met,
        ),
        _row("1 in flight: p99", "≤ Redis's", tail, met=is_tail_met),
    )


def _beside_redis(load: str, by_name: dict[tuple[str, str], Run]) -> tuple[Target, Target]:
    ours, redis = by_name.get(("guard", load)), by_name.get(("redis", load))
    rate = latency = None
    is_rate_met = is_latency_met = False
    if ours is not None and redis is not None:
        ratio = ours.requests_a_second / redis.requests_a_second
        rate = f"{ours.requests_a_second:,.0f}/s; {ratio:.2f}×"
        is_rate_met = ratio >= REDIS_RATIO_MIN
        mine, its = ours.latency_ns, redis.latency_ns
        latency = (
            f"p50 {_us(mine['p50'])}, p99 {_us(mine['p99'])}; "
            f"Redis {_us(its['p50'])}, {_us(its['p99'])}"
        )
        is_latency_met = mine["p50"] < its["p50"] and mine["p99"] < its["p99"]
    return (
        _row(f"{load}: orders/s", f"≥ {REDIS_RATIO_MIN:.0f}× Redis", rate, met=is_rate_met),
        _row(f"{load}: p50 and p99", "below Redis's", latency, met=is_latency_met),
    )


def _saturated(
    by_name: dict[tuple[str, str], Run], figures: dict[str, float]
) -> tuple[Target, Target, Target]:
    one, many = by_name.get(("guard", SATURATED)), by_name.get(("guard", SATURATED_64))
    wheel = figures.get("wheel_orders_a_second")
    ratio = one.requests_a_second / wheel if one is not None and wheel else None
    return (
        _row(
            "saturated, one order a message",
            f"≥ {SATURATED_MIN:,} durable orders/s",
            None if one is None else f"{one.requests_a_second:,.0f}/s",
            met=one is not None and one.requests_a_second >= SATURATED_MIN,
        ),
        _row(
            "the same beside the wheel in process, same batch size",
            f"≥ {WHEEL_RATIO_MIN}×",
            None if ratio is None else f"{ratio:.2f}× (wheel {wheel:,.0f}/s)",
            met=ratio is not None and ratio >= WHEEL_RATIO_MIN,
        ),
        _row(
            "saturated, 64 orders a message",
            f"≥ {SATURATED_64_MIN:,} durable orders/s",
            None if many is None else f"{many.requests_a_second:,.0f}/s",
            met=many is not None and many.requests_a_second >= SATURATED_64_MIN,
        ),
    )


def _replay(figures: dict[str, float]) -> tuple[Target, Target]:
    ratio, cores = figures.get("replay_wheel_ratio"), figures.get("replay_cores_ratio")
    rate, busy = figures.get("replay_records_a_second", 0.0), figures.get("busy_cores_ratio")
    beside = "" if busy is None else f"; loops that share nothing {busy:.2f}×"
    return (
        _row(
            "replay of the same log beside the wheel, one core",
            f"≥ {REPLAY_RATIO_MIN:.0f}×",
            None if ratio is None else f"{ratio:.2f}× ({rate:,.0f} records/s)",
            met=ratio is not None and ratio >= REPLAY_RATIO_MIN,
        ),
        _row(
            "replay on two cores over one",
            f"≥ {REPLAY_CORES_RATIO_MIN}×",
            None if cores is None else f"{cores:.2f}×{beside}",
            met=cores is not None and cores >= REPLAY_CORES_RATIO_MIN,
        ),
    )


def _flow(by_name: dict[tuple[str, str], Run]) -> Target:
    run, disk = by_name.get(("guard", REAL_FLOW)), by_name.get((DISK, REAL_FLOW))
    alone = (
        "" if disk is None else f"; the disk alone at worst {disk.latency_ns['max'] / 1e6:.0f} ms"
    )
    lost = 0 if run is None else run.messages_sent - run.messages_answered
    return _row(
        "real flow at 100× speed: p99.9, and none dropped",
        f"≤ {FLOW_P999_NS_MAX / 1e6:.0f} ms, 0",
        None if run is None else f"{run.latency_ns['p99.9'] / 1e6:.2f} ms, {lost}{alone}",
        met=run is not None and run.latency_ns["p99.9"] <= FLOW_P999_NS_MAX and not lost,
    )


def _us(nanoseconds: float) -> str:
    return f"{nanoseconds / 1e3:,.0f} µs"
