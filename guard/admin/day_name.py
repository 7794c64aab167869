"""Which day may be closed, and what is said of one that was closed before. Pure.

Owns the rule for a day's name: a date, no later than tomorrow (UTC), behind the last one that was
closed, as far as its action is remembered. It holds for what is asked now; the days of a log stand
as they were closed.
"""

import re
from datetime import UTC, date, datetime, timedelta

from guard.admin.errors import AdminError
from guard.engine.actor import Actor
from guard.engine.apply_event import action_digest_hex
from guard.engine.events import DayClosed
from guard.engine.state import ActionDone, GuardState

_DATE = re.compile(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}")
_CLOSE_ID = re.compile(r"close-([0-9-]{10})")


def today_of(at_ns: int) -> date:
    """The date of a time since the epoch, UTC."""
    return datetime.fromtimestamp(at_ns // 1_000_000_000, UTC).date()


def wrong_day(day: str, today: date) -> str | None:
    """What is wrong with a day's name, and what is allowed; None where nothing is."""
    latest = today + timedelta(days=1)
    try:
        named = date.fromisoformat(day)
    except ValueError:
        return f"{day!r} is no date; allowed: one such as {today}"
    if named > latest:
        return f"{day!r} is still to come; allowed: up to {latest}, the day after today (UTC)"
    if not _DATE.fullmatch(day):
        return f"{day!r} is not allowed; allowed: a date such as {today}"
    return None


def check_day(state: GuardState, day: str, actor: Actor) -> None:
    """May that day be closed now? Raises AdminError."""
    wrong = wrong_day(day, today_of(actor.received_at_ns))
    last = last_closed(state, actor)
    if wrong is None and last is not None and day <= last:
        wrong = f"{day!r} is not behind {last}, the last day that was closed; allowed: a later one"
    if wrong is not None:
        raise AdminError("invalid", "day", f"day: {wrong}")


def last_closed(state: GuardState, actor: Actor) -> str | None:
    """The last day that was closed, by the actions that are remembered."""
    found = filter(None, map(_CLOSE_ID.fullmatch, state.actions))
    for day in sorted((match[1] for match in found), reverse=True):
        action_id = f"close-{day}"
        event = actor.event(
            DayClosed, day=day, closes_sequence=0, statement_digest_hex="", action_id=action_id
        )
        # Another action may have been given such an id.
        if state.actions[action_id].digest_hex == action_digest_hex(event):
            return day
    return None


def repeat_words(state: GuardState, day: str, before: ActionDone) -> str:
    """Of a day that is closed: which record did it, and what came too late for it."""
    text = f"day {day}: was closed before, record {before.sequence}"
    count = state.next_sequence - 1 - before.sequence
    return f"{text}; the {count} records since are not in it, but in the next day to be closed"
