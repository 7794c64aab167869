"""The fields of requests and outcomes by number, for what walks over a table of them.

Owns the numbering: a request's integers come first, an outcome's from `OUTCOME_SLOT` on. Compiled,
those modules take the same functions from `slots.pxd` beside this file, where a field is found by
its offset.

Must not: check a number. The tables are made of names (`guard.protocol.fields`).
"""

from typing import Final

from guard.protocol.outcome import OUTCOME_NUMBERS, Outcome
from guard.protocol.request import REQUEST_NUMBERS, TEXTS, Request

OUTCOME_SLOT: Final = 64

U64 = 1 << 64
_BYTES_NAMES: Final = [name + "_bytes" for name in TEXTS]


def number_of(request: Request, outcome: Outcome, slot: int) -> int:
    """The integer of that number, as 64 bits."""
    if slot < OUTCOME_SLOT:
        value: int = getattr(request, REQUEST_NUMBERS[slot])
    else:
        value = getattr(outcome, OUTCOME_NUMBERS[slot - OUTCOME_SLOT])
    return value % U64


def set_number(request: Request, outcome: Outcome, slot: int, value: int) -> None:
    """Puts an integer that is not negative."""
    if slot < OUTCOME_SLOT:
        setattr(request, REQUEST_NUMBERS[slot], value)
    else:
        setattr(outcome, OUTCOME_NUMBERS[slot - OUTCOME_SLOT], value)


def set_signed(request: Request, outcome: Outcome, slot: int, value: int) -> None:
    """Puts an integer of either sign, given as its two's complement in 64 bits."""
    set_number(request, outcome, slot, as_signed(value))


def as_signed(value: int) -> int:
    """What 64 bits say as a two's complement."""
    return value - U64 if value >> 63 else value


def negative(value: int) -> int:
    """The two's complement of an integer's opposite, in 64 bits."""
    return -value % U64


def text_bytes(request: Request, text: int) -> int:
    """How many bytes the text of that number in `TEXTS` has."""
    count: int = getattr(request, _BYTES_NAMES[text])
    return count


def set_text_bytes(request: Request, text: int, count: int) -> None:
    """Says how many it has."""
    setattr(request, _BYTES_NAMES[text], count)


def set_outcome_number(outcome: Outcome, first: int, place: int, value: int) -> None:
    """Puts an integer of the outcome: the one so many places behind the first."""
    setattr(outcome, OUTCOME_NUMBERS[first - OUTCOME_SLOT + place], value)


def outcome_number(outcome: Outcome, place: int) -> int:
    """An integer of the outcome, by its place among them."""
    value: int = getattr(outcome, OUTCOME_NUMBERS[place])
    return value


def request_number(request: Request, slot: int) -> int:
    """An integer of the request."""
    value: int = getattr(request, REQUEST_NUMBERS[slot])
    return value


def is_same_text(one: Request, other: Request, text: int, place: int) -> bool:
    """Do both have the same text? `place`: where it stands in theirs."""
    count = text_bytes(one, text)
    end = place + count
    return count == text_bytes(other, text) and one.texts[place:end] == other.texts[place:end]


def copy_text(to: Request, of: Request, text: int, place: int) -> None:
    """Gives one request a text of the other. `place`: where it stands in both."""
    count = text_bytes(of, text)
    to.texts[place : place + count] = of.texts[place : place + count]
    set_text_bytes(to, text, count)
