"""Tells the operator of limits that are nearly used, and when that is over.

Owns the words, each said once; which limits those are, `guard.engine.limit_watch` says. What was
told and is not over, `status` shows as long as it lasts.

How it fails: it does not, but for what `say` and `alarm` raise.
"""

from collections.abc import Callable
from typing import Final

from guard.engine.limit_use import Use
from guard.engine.limit_watch import LimitWatch
from guard.engine.state import GuardState
from guard.process.line_forms import told

PLACES_LOOKED_AT: Final = 512  # at a time: no request waits longer for it
TOLD_MAX: Final = 16  # of one look; `status` has them all


class LimitAlarms:
    """Those of one daemon."""

    def __init__(
        self, state: GuardState, say: Callable[[str], None], alarm: Callable[[str], None]
    ) -> None:
        self._watch = LimitWatch(state, PLACES_LOOKED_AT)
        self._say, self._alarm = say, alarm

    def look(self) -> None:
        """Once a second."""
        fresh, over = self._watch.step()
        for one in fresh[:TOLD_MAX]:
            text = f"{one.words}, from {one.percent} % on this is told (warn_percent)"
            self._alarm(told("limit_nearly_used", text, used=one.used, limit=one.most))
        if len(fresh) > TOLD_MAX:
            text = f"{len(fresh) - TOLD_MAX} more limits are nearly used: `status` names them"
            self._alarm(told("limit_nearly_used", text, count=len(fresh) - TOLD_MAX))
        for one in over[:TOLD_MAX]:
            self._say(told("over", f"over: {one.words}", what=one.words))

    def lines(self) -> list[str]:
        """What is nearly used, for people, by place."""
        return [one.words for _, one in sorted(self._watch.near.items())]

    def worst(self) -> list[Use]:
        """Of each key of limits the greatest share that anybody uses, the greatest first."""
        return self._watch.worst()
