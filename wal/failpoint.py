"""Named places where a test may stop, kill or fail the process. Nothing happens there otherwise.

Owns: the hook and the names of the places in this package. Must not: be installed by anything but
a test (there is no setting for it). `reach` is called between two steps that a crash may separate;
whatever the hook raises comes out there, as if the step before had failed.

The cost where no hook is installed: one call and one comparison with None, off the loop, beside a
sync of the disk.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

# Named by what comes next or has just been done. A test goes through all of them.
NAMES: Final = (
    "before-segment-create",
    "after-segment-create",  # the file is there; neither it nor its name is durable
    "after-segment-sync",  # both are
    "before-write",
    "after-write",
    "before-sync",
    "after-sync",
    "before-ahead-write",
    "before-ahead-sync",
    "after-ahead-sync",
    "before-zeros-cut",  # of a segment that another one follows, or that a start or a stop ends
    "after-zeros-cut",
    "after-zeros-cut-sync",
    "before-tail-write",
    "after-tail-write",
    "after-tail-sync",
    "before-checkpoint-write",
    "before-checkpoint-rename",
    "after-checkpoint-rename",
    "before-manifest-rename",
    "after-manifest-rename",
    "before-checkpoint-remove",
    "before-archive-link",
    "before-archive-remove",
    "after-archive-remove",
)

_hook: Callable[[str], None] | None = None


def install(hook: Callable[[str], None] | None) -> None:
    """From now on call `hook` with the name of each place that is reached; None ends it."""
    global _hook
    _hook = hook


def is_armed() -> bool:
    """Whether a hook is installed: who passes a place very often may ask before."""
    return _hook is not None


def reach(name: str) -> None:
    """Tell the hook, if there is one, that this place was reached."""
    if _hook is not None:
        _hook(name)
