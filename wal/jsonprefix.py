"""Whether some bytes are JSON, or could be its beginning. Pure; nothing but that; no recursion.

The unfinished line of a torn write is the beginning of a line. Where it is not even that, the
bytes are wrong, not missing, and repair must not cut them. And what was written must be read
again however deep it is nested and however deep the reader stands in calls: where a recursive
decoder gives up, this one goes on. Slow (about 1 us a token), so only for such cases.
"""

from __future__ import annotations

import codecs
import re
from typing import Final

_TOKEN: Final = re.compile(
    rb'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"'
    rb"|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?![0-9.eE+-])"
    rb"|true|false|null|[{}\[\]:,]"
)
_CUT_TOKEN: Final = re.compile(
    rb'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*(?:\\(?:u[0-9a-fA-F]{0,3})?)?'
    rb"|-?(?:0|[1-9][0-9]*)?(?:(?<=[0-9])\.[0-9]*)?(?:(?<=[0-9])[eE][+-]?)?"
    rb"|tr?u?|fa?l?s?|nu?l?"
)
_SPACE: Final = re.compile(rb"[ \t\r\n]*")

# What may stand next inside the innermost bracket: a value, a member's name, the colon after it,
# or the comma (or the closing bracket) after a value. `*_OR_END`: or the closing bracket.
_VALUE, _VALUE_OR_END, _NAME, _NAME_OR_END, _COLON, _COMMA_OR_END = range(6)
_NEITHER, _BEGINNING, _WHOLE = range(3)


def is_object_beginning(fragment: bytes) -> bool:
    """Whether bytes could be appended to `fragment` so that it is one JSON object in UTF-8.

    An object that is already whole counts (nothing has to be appended); one with anything after
    it does not.
    """
    return not fragment or (fragment[:1] == b"{" and _scan(fragment) != _NEITHER)


def is_whole_nested(value: bytes) -> bool:
    """Whether `value` is one JSON object or array in UTF-8, whole, with no space around it."""
    return _scan(value) == _WHOLE


def _scan(fragment: bytes) -> int:
    """Whether `fragment` is an object or array, the beginning of one, or neither."""
    if fragment[:1] not in (b"{", b"["):
        return _NEITHER
    try:
        codecs.getincrementaldecoder("utf-8")().decode(fragment, final=False)
    except UnicodeDecodeError:
        return _NEITHER
    brackets = [fragment[:1]]
    expected, at = _NAME_OR_END if brackets == [b"{"] else _VALUE_OR_END, 1
    while brackets:
        at = _after_space(fragment, at)
        if at == len(fragment):
            return _BEGINNING
        match = _TOKEN.match(fragment, at)
        if match is None:
            return _BEGINNING if _is_cut_token(fragment[at:], expected) else _NEITHER
        token, at = match[0], match.end()
        step = _step(expected, token, brackets)
        if step is None:
            return _NEITHER
        expected = step
    return _WHOLE if at == len(fragment) else _NEITHER


def _step(expected: int, token: bytes, brackets: list[bytes]) -> int | None:
    """What may follow `token`, or None where the token may not stand; keeps `brackets`."""
    inner = brackets[-1]
    if token in (b"}", b"]"):
        may_close = expected in (_COMMA_OR_END, _VALUE_OR_END, _NAME_OR_END)
        if not may_close or (token == b"}") != (inner == b"{"):
            return None
        brackets.pop()
        return _COMMA_OR_END
    if token == b",":
        if expected != _COMMA_OR_END:
            return None
        return _NAME if inner == b"{" else _VALUE
    if token == b":":
        return _VALUE if expected == _COLON else None
    if expected in (_NAME, _NAME_OR_END):
        return _COLON if token[:1] == b'"' else None
    if expected not in (_VALUE, _VALUE_OR_END):
        return None
    if token in (b"{", b"["):
        brackets.append(token)
        return _NAME_OR_END if token == b"{" else _VALUE_OR_END
    return _COMMA_OR_END


def _is_cut_token(rest: bytes, expected: int) -> bool:
    """Whether `rest` is the beginning of a token that may stand here, cut by the end."""
    if expected in (_COLON, _COMMA_OR_END):
        return False
    if expected in (_NAME, _NAME_OR_END) and rest[:1] != b'"':
        return False
    return _CUT_TOKEN.fullmatch(rest) is not None


def _after_space(fragment: bytes, at: int) -> int:
    match = _SPACE.match(fragment, at)
    assert match is not None
    return match.end()
