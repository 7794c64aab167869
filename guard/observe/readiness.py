"""Is the guard ready for orders? Yes, or the reasons why not, each with a word. Pure.

Owns what ready means: somebody answers, serves, has synced lately where something waited for it,
and lets entries pass as far as the disk goes. A halt by a person is none of the reasons: they want
it so.
"""

from typing import Final

from guard.admin.messages import HealthReply
from guard.admin.troubles import STALLED_NS

WORDS: Final = ("silent", "late", "stopping", "disk_stalled", "entries_halted")
# A look comes every second, and its answer within another: who was killed is ready no longer.
LATE_NS: Final = 2_000_000_000
SILENT_NS: Final = 5_000_000_000  # so long may one that is busy take


def unready(health: HealthReply | None, silent_ns: int, error: str) -> dict[str, str]:
    """The reasons by their words; none where it is ready.

    `silent_ns`: since it answered last. `error`: what asking it said last, "" where it answered.
    """
    if health is None:
        return {"silent": f"the daemon has not answered yet: {error or 'it was not asked yet'}"}
    if silent_ns >= SILENT_NS:
        said = f": {error}" if error else ""
        return {"silent": f"the daemon has not answered for {silent_ns // 1_000_000_000} s{said}"}
    found = {}
    if silent_ns >= LATE_NS:
        found["late"] = f"the daemon has not answered for {silent_ns / 1e9:.1f} s"
    if not health.is_serving:
        found["stopping"] = "the daemon is stopping: no order is taken any more"
    waiting_ns = health.figures.get("batch_waiting_ns", 0)
    if waiting_ns >= STALLED_NS:
        found["disk_stalled"] = f"the log's disk has not answered for {waiting_ns / 1e9:.1f} s"
    if health.entries_halted is not None:
        found["entries_halted"] = f"entries of all desks are halted ({health.entries_halted})"
    return found
