"""What is wrong with a guard, in words, and what to do about it. Pure.

Owns the table of troubles that `health` names, the worst first, and the bounds from which on a
figure is one. Everything that it looks at stands in the reply itself, so that whoever reads the
reply can come to the same end.
"""

from collections.abc import Callable
from typing import Final

from guard.admin.messages import HealthReply

MS_NS: Final = 1_000_000
S_NS: Final = 1_000_000_000
SLOW_SYNC_NS: Final = 100 * MS_NS
STALLED_NS: Final = 2 * S_NS
ANCHOR_BEHIND_NS: Final = 60 * S_NS
WINDOW_FULL_PERCENT: Final = 90
DISK_FACTOR: Final = 2  # of the reserve: below it, entries are near their halt
NAMES_SHOWN: Final = 8


def troubles_of(health: HealthReply) -> list[str]:
    """The sentences, the worst first; none where all is well."""
    return list(troubles_by_kind(health).values())


def troubles_by_kind(health: HealthReply) -> dict[str, str]:
    """The same, each under the word of its kind (`KINDS`), which programs may go by."""
    found = ((kind, trouble(health)) for kind, trouble in _TROUBLES.items())
    return {kind: sentence for kind, sentence in found if sentence}


def _stopping(health: HealthReply) -> str:
    return "" if health.is_serving else "it is stopping: no order is taken any more"


def _stalled(health: HealthReply) -> str:
    waiting = health.figures["batch_waiting_ns"]
    if waiting < STALLED_NS:
        return ""
    return (
        f"the disk has not answered for {waiting / S_NS:.1f} s: no reply can leave; look at the "
        "log's disk"
    )


def _disk(health: HealthReply) -> str:
    if health.entries_halted is None:
        return ""
    free = health.figures["disk_left_bytes"]
    return (
        f"entries of all desks are halted ({health.entries_halted}): {free:,} bytes are left on "
        "the log's disk; archive sealed segments, or make room"
    )


def _firm(health: HealthReply) -> str:
    if not health.is_firm_halted:
        return ""
    return "entries of all desks are halted by a person; `pretrade-guard admin resume --firm`"


def _desks(health: HealthReply) -> str:
    if not health.desks_halted:
        return ""
    return (
        f"halted desks: {_names(health.desks_halted)}; `pretrade-guard admin desks` says why, "
        "`admin resume --desk NAME` lifts what a person has set, with `--forgive-fees` also what "
        "unpaid fees have, which are then charged to nobody"
    )


def _symbols(health: HealthReply) -> str:
    if not health.symbols_halted:
        return ""
    return f"halted symbols: {_names(health.symbols_halted)}; `admin resume --symbol NAME` lifts it"


def _named(health: HealthReply) -> str:
    if not health.names_halted:
        return ""
    return (
        f"halted: {_names(health.names_halted)}; `admin resume --account NAME` (`--customer`, "
        "`--trader`, `--algo`) lifts it"
    )


def _reducing(health: HealthReply) -> str:
    named = health.names_reducing
    if not (health.is_firm_reducing or health.desks_reducing or health.symbols_reducing or named):
        return ""
    desks = ["all"] if health.is_firm_reducing else health.desks_reducing
    places = [
        f"{what} {_names(names)}"
        for what, names in (("desks:", desks), ("symbols:", health.symbols_reducing), ("of", named))
        if names
    ]
    return (
        f"positions may but be reduced, {', '.join(places)}; `pretrade-guard admin desks` says "
        "why, `admin resume` lifts what a person has set"
    )


def _unreconciled(health: HealthReply) -> str:
    overdue = health.figures.get("unreconciled_overdue", 0)
    if not overdue:
        return ""
    return (
        f"{overdue:,} fills and executions have not met in time: `pretrade-guard admin reconcile` "
        "lists them; look at the drop copy, and `admin bust` what did not happen"
    )


def _latched(health: HealthReply) -> str:
    if not health.latches:
        return ""
    return (
        f"latches are set, which let positions but be reduced: {_names(health.latches)}; "
        "`pretrade-guard admin lift` lifts one, once it is clear why"
    )


def _nearly_used(health: HealthReply) -> str:
    if not health.limits_nearly_used:
        return ""
    return (
        f"limits are nearly used: {_names(health.limits_nearly_used)}; beyond them entries are "
        "refused"
    )


def _standing(health: HealthReply) -> str:
    return "; ".join(health.standing)


def _clock(health: HealthReply) -> str:
    behind = health.figures["clock_behind_ns"]
    if behind < S_NS:
        return ""
    return (
        f"the clock stands {behind / S_NS:,.0f} s before the log's newest record: set the "
        "machine's clock right"
    )


def _reserve(health: HealthReply) -> str:
    left, reserve = health.figures["disk_left_bytes"], health.figures["disk_reserve_bytes"]
    if health.entries_halted is not None or left < 0 or left >= DISK_FACTOR * reserve:
        return ""
    return (
        f"{left:,} bytes are left on the log's disk; below {reserve:,} entries are halted: archive "
        "sealed segments, or make room"
    )


def _sync(health: HealthReply) -> str:
    took = health.figures["last_sync_ns"]
    if took < SLOW_SYNC_NS:
        return ""
    return f"the last sync took {took / MS_NS:,.0f} ms: every answer waits for it; look at the disk"


def _checkpoint(health: HealthReply) -> str:
    figures = health.figures
    interval = figures["checkpoint_interval_ns"]
    age = figures["checkpoint_age_ns"]
    if not interval or age < 2 * interval or figures["records_since_checkpoint"] < 2:
        return ""
    return (
        f"the last checkpoint is {age / S_NS:,.0f} s old: a start would take longer; the daemon's "
        "own lines say what keeps one from being taken"
    )


def _anchor(health: HealthReply) -> str:
    figures = health.figures
    if figures["anchor_sequence"] < 0 or figures["anchor_behind_ns"] < ANCHOR_BEHIND_NS:
        return ""
    return (
        f"the anchor is at record {figures['anchor_sequence']}, the log at {health.head_sequence}: "
        "look at the anchor's disk"
    )


def _window(health: HealthReply) -> str:
    figures = health.figures
    used, most = figures["remembered_orders"], figures["remembered_orders_max"]
    if used * 100 < most * WINDOW_FULL_PERCENT:
        return ""
    return (
        f"{used:,} of {most:,} order ids are remembered: when it is full, entries are refused; "
        "settings.remembered_orders_max may be raised at a start"
    )


def _lines(health: HealthReply) -> str:
    lost = health.figures["lines_not_said"]
    return f"{lost} lines of the daemon could not be said: look at its journal" if lost else ""


def _names(names: list[str]) -> str:
    shown = ", ".join(names[:NAMES_SHOWN])
    more = len(names) - NAMES_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


_TROUBLES: Final[dict[str, Callable[[HealthReply], str]]] = {
    "stopping": _stopping,
    "disk_stalled": _stalled,
    "entries_halted": _disk,
    "firm_halted": _firm,
    "desks_halted": _desks,
    "symbols_halted": _symbols,
    "names_halted": _named,
    "reducing": _reducing,
    "latched": _latched,
    "unreconciled": _unreconciled,
    "limits_nearly_used": _nearly_used,
    "standing": _standing,
    "clock_behind": _clock,
    "disk_low": _reserve,
    "sync_slow": _sync,
    "checkpoint_old": _checkpoint,
    "anchor_behind": _anchor,
    "window_full": _window,
    "lines_not_said": _lines,
}
KINDS: Final = tuple(_TROUBLES)
