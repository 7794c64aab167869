"""JSON objects of proofs, read strictly: what a reader would have to guess about is refused.

Owns: the parsing of one object (no duplicate names, no floats, no NaN, nothing behind it), its
compact form, and the checks of single values that every proof's form uses.

Must not: know any proof's fields. Fails: the error that the caller names (a `KernelInputError`),
with the field, the value and what is allowed.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from kernel.errors import KernelInputError
from kernel.layout import IntType

Error = type[KernelInputError]

SHOWN_CHARACTERS_MAX = 80  # of a refused value, in a message


def load_object(text: str | bytes, what: str, error: Error) -> dict[str, Any]:
    """The one JSON object in `text`, which is called `what` in an error."""

    def pairs(members: list[tuple[str, Any]]) -> dict[str, Any]:
        fields = dict(members)
        if len(fields) != len(members):
            counts = Counter(name for name, _ in members)
            twice = next(name for name, count in counts.items() if count > 1)
            raise error(f"{what} has {twice!r} twice; must have each field once")
        return fields

    def refuse(literal: str) -> NoReturn:
        raise error(f"{what} has the number {shown(literal)}; must have integers only")

    def integer(literal: str) -> int:
        return refuse(literal) if literal == "-0" else int(literal)  # a float to the reference

    try:
        if isinstance(text, bytes):
            text = text.decode()  # json would take UTF-16 as well
        value = json.loads(
            text,
            object_pairs_hook=pairs,
            parse_int=integer,
            parse_float=refuse,
            parse_constant=refuse,
        )
    except KernelInputError:
        raise
    except RecursionError:
        raise error(f"{what} is nested too deeply") from None
    except ValueError as cause:  # no JSON, no UTF-8, or an integer of thousands of digits
        raise error(f"{what} is no JSON: {cause}") from None
    if not isinstance(value, dict):
        raise error(f"{what} is {shown(value)}; must be a JSON object")
    return value


def dump_compact(value: object) -> str:
    """Compact JSON, names in their order, text as it is."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def check_fields(
    mapping: object, what: str, required: Iterable[str], optional: Iterable[str], error: Error
) -> dict[str, Any]:
    """The mapping, which has all the required fields and no other than the optional ones."""
    if not isinstance(mapping, Mapping):
        raise error(f"{what} is {shown(mapping)}; must be a JSON object")
    required, optional = list(required), list(optional)
    for name in required:
        if name not in mapping:
            raise error(f"{what} has no {name}; must have {', '.join(required)}")
    for name in mapping:
        if name not in required and name not in optional:
            allowed = ", ".join([*required, *optional])
            raise error(f"{what} has the field {shown(name)}; must have only {allowed}")
    return dict(mapping)


def check_integer(
    name: str, value: object, kind: IntType, error: Error, minimum: int | None = None
) -> int:
    """The value, an integer (no bool) of that type, and not below `minimum`."""
    low = kind.minimum if minimum is None else minimum
    if type(value) is not int or not low <= value <= kind.maximum:
        raise error(f"{name} is {shown(value)}; must be an integer from {low} to {kind.maximum}")
    return value


def check_bool(name: str, value: object, error: Error) -> bool:
    """The value, true or false."""
    if type(value) is not bool:
        raise error(f"{name} is {shown(value)}; must be true or false")
    return value


def check_text(name: str, value: object, error: Error) -> str:
    """The value, text that UTF-8 can hold."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            pass
        else:
            return value
    raise error(f"{name} is {shown(value)}; must be text in UTF-8")


def shown(value: object) -> str:
    """A value as a message shows it: never long."""
    text = ascii(value)
    if len(text) > SHOWN_CHARACTERS_MAX:
        return f"{text[:SHOWN_CHARACTERS_MAX]}… ({len(text)} characters)"
    return text
