"""What an operator says of recorded fills: asked for in words, given as events. Pure.

Owns the words (`DESK/ORDER/FILL`, and of a correction `quantity=40 price=19000 fee=1.25`) and the
way from them to the event that is to be logged. What may be said of which fill, and what it moves,
`guard.engine.amendments` says.

How it fails: `ConfigError` naming what was asked and what is wrong with it.
"""

from typing import Final, Literal, NamedTuple, TypeAlias

from guard.config.errors import ConfigError
from guard.engine.actor import Actor
from guard.engine.amendments import (
    AmendmentError,
    Correction,
    FillName,
    assess,
    is_known,
)
from guard.engine.events import FillAccepted, FillBusted, FillCorrected, Outcome
from guard.engine.state import GuardState
from guard.protocol.instruments import parse_money_microcents
from guard.protocol.messages import I64_MAX

Saying: TypeAlias = Literal["accept", "bust", "correct"]
OPTION_OF: Final[dict[Saying, str]] = {
    "accept": "--accept-fill",
    "bust": "--bust-fill",
    "correct": "--correct-fill",
}
_EVENT_OF: Final[dict[Saying, type[FillAccepted | FillBusted | FillCorrected]]] = {
    "accept": FillAccepted,
    "bust": FillBusted,
    "correct": FillCorrected,
}
_SEPARATOR: Final = "/"


class AmendmentAsked(NamedTuple):
    """What was asked for: of a fill, by its name as it was written."""

    saying: Saying
    written: str
    correction: Correction = Correction()

    @property
    def option(self) -> str:
        """As it stands on the command line."""
        return f"{OPTION_OF[self.saying]} {self.written}"


def parse_asked(saying: Saying, text: str) -> AmendmentAsked:
    """What an option's value asks for. Raises ConfigError."""
    written, _, changes = text.strip().partition(" ")
    place = f"{OPTION_OF[saying]} {written}"
    if written.count(_SEPARATOR) < len(FillName._fields) - 1:
        raise ConfigError(f"{place}: is no name of a fill; allowed: DESK/ORDER/FILL")
    if saying != "correct":
        if changes:
            raise ConfigError(
                f"{place}: {changes!r} is not allowed; allowed: DESK/ORDER/FILL alone"
            )
        return AmendmentAsked(saying, written)
    allowed = "one or more of quantity=LOTS, price=TICKS, fee=MONEY, with spaces between them"
    said: dict[str, int] = {}
    for change in changes.split():
        name, _, value = change.partition("=")
        field = "fee_microcents" if name == "fee" else name
        if field not in Correction._fields or field in said:
            raise ConfigError(f"{place}: {change!r} is not allowed; allowed: {allowed}")
        said[field] = _fee(place, value) if name == "fee" else _count(place, name, value)
    if not said:
        raise ConfigError(f"{place}: says no correction; allowed: {allowed}")
    return AmendmentAsked(saying, written, Correction(**said))


def amendment_event(state: GuardState, asked: AmendmentAsked, actor: Actor) -> Outcome | None:
    """The event that says it, None where the same has been said. Raises ConfigError."""
    at_ns = actor.received_at_ns
    name = _name_in(state, asked, at_ns)
    kind = _EVENT_OF[asked.saying]
    try:
        fields = assess(state, kind, name, at_ns, asked.correction)
    except AmendmentError as error:
        raise ConfigError(f"{OPTION_OF[asked.saying]}: {error}") from error
    return None if fields is None else actor.event(kind, **fields)


def _name_in(state: GuardState, asked: AmendmentAsked, at_ns: int) -> FillName:
    """The fill that is meant: desks' names and ids may hold a slash themselves."""
    parts = asked.written.split(_SEPARATOR)
    names = [
        FillName(
            _SEPARATOR.join(parts[:first]),
            _SEPARATOR.join(parts[first:second]),
            _SEPARATOR.join(parts[second:]),
        )
        for first in range(1, len(parts) - 1)
        for second in range(first + 1, len(parts))
    ]
    known = [name for name in names if is_known(state, name, at_ns)]
    if len(known) > 1:
        meant = "; ".join(
            f"desk {n.desk}, order {n.client_order_id}, fill {n.fill_id}" for n in known
        )
        raise ConfigError(f"{asked.option}: may be each of these: {meant}")
    return known[0] if known else names[0]


def _count(place: str, name: str, value: str) -> int:
    if not (value.isascii() and value.isdecimal() and 0 < int(value) <= I64_MAX):
        raise ConfigError(
            f"{place}: {name}={value} is not allowed; allowed: an integer from 1 to {I64_MAX}"
        )
    return int(value)


def _fee(place: str, value: str) -> int:
    """Money as decimal text; with a minus sign it is a rebate."""
    try:
        microcents = parse_money_microcents(value.removeprefix("-"), "fee")
    except ValueError as error:
        raise ConfigError(f"{place}: {error}") from error
    return -microcents if value.startswith("-") else microcents
