"""The two forms of a line for the operator: for people, and one JSON object a line. Pure.

Owns what an event is called (`told`), and how text, event and fields become bytes. A text that
nobody has named an event of is a `note`. In JSON a line is cut inside its message and stays JSON.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

INFO: Final = "INFO"
ALARM: Final = "ALARM"
FATAL: Final = "FATAL"
NOTE: Final = "note"

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Form = Callable[[int, str, str], bytes]


class Told(str):
    """A text for the operator that names its event, and the event's fields."""

    __slots__ = ("event", "fields")

    event: str
    fields: dict[str, Any]


def told(event: str, text: str, **fields: Any) -> Told:
    """`text` as an event of this name."""
    named = Told(text)
    named.event, named.fields = event, fields
    return named


def line_of(wall_ns: int, level: str, text: str) -> bytes:
    """`2026-11-30T07:42:19.123Z ALARM: text`, one line whatever stands in the text."""
    plain = "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text
    )
    return f"{_time(wall_ns)} {level}: {plain}\n".encode()


def json_line_of(wall_ns: int, level: str, text: str, bytes_max: int = 0) -> bytes:
    """`{"time": …, "level": …, "event": …, "message": …, "fields": {…}}`, in ASCII.

    `bytes_max`: fields are left out, and then the message is cut, where it has more; 0 for any.
    """
    said: dict[str, Any] = {
        "time": _time(wall_ns),
        "level": level.lower(),
        "event": text.event if isinstance(text, Told) else NOTE,
        "message": str(text),
        "fields": text.fields if isinstance(text, Told) else {},
    }
    line = _encoded(said)
    if bytes_max and len(line) > bytes_max:
        said |= {"fields": {"cut": True}}
        line = _encoded(said)
        if len(line) > bytes_max:
            # A character takes up to twelve bytes as JSON.
            room = bytes_max - len(_encoded(said | {"message": ""}))
            line = _encoded(said | {"message": text[: room // 12]})
    return line


def _encoded(said: dict[str, Any]) -> bytes:
    return f"{json.dumps(said, default=str)}\n".encode()


def _time(wall_ns: int) -> str:
    moment = _EPOCH + timedelta(microseconds=wall_ns // 1_000)
    return moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
