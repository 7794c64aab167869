"""What is wrong with a section of a file, where msgspec's words do not say it. Pure.

Owns the way to the first wrong place of a file that does not convert, by the very types that it is
converted by, and the words for it: the place with the names that stand there, the value, and what
is allowed. msgspec names no key of a map (`clients[...]`), and not which words a place may hold.

How it fails: None where it finds nothing wrong.
"""

import types
import typing
from typing import Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from guard.protocol.messages import U64_MAX
from guard.protocol.ranges import Currency, DeskName
from guard.record.words import refusal

# What msgspec's own words leave out shows by these.
_SAID_TOO_LITTLE: Final = (
    "[...]", "Invalid enum value", "`key` in", "$.limits", "$.clients", "$.approvals", "$.log",
    "$.cluster",
)  # fmt: skip
_A_NAME: Final = "1 to 32 characters of A-Z a-z 0-9 ._:/-"


def _pattern_of(kind: Any) -> str:
    pattern: str = typing.get_args(kind)[1].pattern
    return pattern


_WORDS_OF_PATTERN: Final = {
    _pattern_of(DeskName): _A_NAME,
    _pattern_of(Currency): "three capital letters, such as USD",
}


def says_too_little(said: str) -> bool:
    """Whether these words of msgspec's leave out a name or what is allowed."""
    return any(part in said for part in _SAID_TOO_LITTLE)


def what_is_wrong(value: Any, kind: Any, place: str = "") -> str | None:
    """The words for the first wrong place of what does not convert to `kind`; None where none is.

    `place`: that of the value, empty for the whole file.
    """
    kinds = _alternatives(kind)
    for each in kinds:
        walked = _walked(value, each, place)
        if walked is not None:
            found, words = walked
            return words if found else None
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return refusal(place, value, " or ".join(dict.fromkeys(map(_allowed, kinds))))
    return None


def _alternatives(kind: Any) -> list[Any]:
    """The kinds of a union; nothing at all is none of them in a file."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return [each for each in typing.get_args(kind) if each is not type(None)]
    return [kind]


def _walked(value: Any, kind: Any, place: str) -> tuple[bool, str] | None:
    """Of a section, map or list of that kind: whether a place in it is wrong, and its words.

    None where the value, or the kind, is no such thing.
    """
    origin = typing.get_origin(kind)
    if isinstance(value, dict) and isinstance(kind, type) and issubclass(kind, Struct):
        words = _wrong_field(value, kind, place)
    elif isinstance(value, dict) and origin is dict:
        key_kind, value_kind = typing.get_args(kind)
        words = _first(
            what_is_wrong(key, key_kind, f"{place}: a name")
            or what_is_wrong(each, value_kind, _joined(place, key))
            for key, each in value.items()
        )
    elif isinstance(value, list) and origin is list:
        (value_kind,) = typing.get_args(kind)
        words = _first(
            what_is_wrong(each, value_kind, f"{place}[{at}]") for at, each in enumerate(value)
        )
    else:
        return None
    return words is not None, words or ""


def _wrong_field(section: dict[str, Any], kind: type[Struct], place: str) -> str | None:
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    unknown = sorted(section.keys() - fields.keys())
    if unknown and kind.__struct_config__.forbid_unknown_fields:
        return f"{_joined(place, unknown[0])}: is not known; allowed: {', '.join(fields)}"
    for name, field in fields.items():
        if name in section:
            words = what_is_wrong(section[name], field.type, _joined(place, name))
            if words is not None:
                return words
        elif field.required:
            allowed = " or ".join(map(_allowed, _alternatives(field.type)))
            return f"{_joined(place, name)}: is missing; allowed: {allowed}"
    return None


def _first(found: typing.Iterable[str | None]) -> str | None:
    return next((words for words in found if words is not None), None)


def _joined(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def _allowed(kind: Any) -> str:
    """What a value of that kind may be, in words."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        words = [f'"{word}"' for word in arguments]
        return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))
    if origin in (list, tuple):
        return f"a list of {_allowed(arguments[0])}"
    meta = next((each for each in arguments if isinstance(each, Meta)), Meta())
    base = arguments[0] if meta in arguments else kind
    if base is int:
        if meta.ge is None:
            return "a whole number"
        return f"a whole number from {meta.ge} to {U64_MAX if meta.le is None else meta.le}"
    if meta.pattern is not None:
        return _WORDS_OF_PATTERN.get(meta.pattern, f"text that matches {meta.pattern}")
    return {str: "text", bool: "true or false"}.get(base, "a section")
