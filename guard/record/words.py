"""What is wrong with a field of a record, in words: the field, its value, what is allowed. Pure.

Owns the form of these words, and the way from what msgspec says of a record that it cannot decode
to them. Where that names no place, its own words are good enough.
"""

import re
from typing import Any, Final

import msgspec

SHOWN_CHARACTERS_MAX: Final = 40  # of a bad value
_BITS_SHOWN_MAX: Final = 128  # huge integers have no cheap text

# How msgspec words what a typed decode found.
_AT_PLACE: Final = re.compile(r"(.*) - at `\$\.?(.*)`", re.DOTALL)
_EXPECTED: Final = re.compile(r"Expected (.*?)(?:, got `\w+`)?", re.DOTALL)
_NO_SUCH: Final = "Invalid"  # a word, an event
_SOMEWHERE: Final = "[...]"  # among the values of a map
_STEP: Final = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


def refusal(field: str, value: object, allowed: object) -> str:
    """The words for a field that holds what it may not."""
    return f"{field}: {shown(value)} is not allowed; allowed: {allowed}"


def shown(value: object) -> str:
    """A bad value for a message: short, whatever it is."""
    if isinstance(value, int) and value.bit_length() > _BITS_SHOWN_MAX:
        return f"an integer of {value.bit_length()} bits"
    if isinstance(value, str):
        return ascii(value[:SHOWN_CHARACTERS_MAX])
    if isinstance(value, bool | int | float) or value is None:
        return msgspec.json.encode(value).decode()
    return "a list" if isinstance(value, list) else "an object"


def explain(data: bytes, error: Exception) -> str:
    """What msgspec says of the record in `data`, with the value that stands there."""
    said = str(error)
    match = _AT_PLACE.fullmatch(said)
    if match is None or not isinstance(error, msgspec.ValidationError):
        return said
    words, place = match.groups()
    if _SOMEWHERE in place:
        return f"{place}: {words}"
    expected = _EXPECTED.fullmatch(words)
    try:
        value = value_at(msgspec.json.decode(data), place)
    except (msgspec.DecodeError, ValueError, RecursionError, LookupError, TypeError):
        return said
    if expected is not None:
        return refusal(place, value, expected[1].replace("`", ""))
    if words.startswith(_NO_SUCH):
        return refusal(place, value, "a word that this version knows there")
    return f"{place}: {words}"


def place_in(said: str) -> str:
    """The place that msgspec's words name, such as `policy.models[1].provider_id`; "" for none."""
    match = _AT_PLACE.fullmatch(said)
    return "" if match is None else match[2]


def value_at(value: Any, place: str) -> Any:
    """What stands at a place such as `policy.models[1].provider_id`. Raises LookupError."""
    for name, index in _STEP.findall(place):
        value = value[name] if name else value[int(index)]
    return value
