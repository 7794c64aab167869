"""Whether some bytes could be the beginning of one JSON object. Pure; nothing but that.

The unfinished line of a torn write is the beginning of a line. Where it is not even that, the
bytes are wrong, not missing, and repair must not cut them. No recursion: the depth of what a
damaged disk says is not bounded by us.
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


def is_object_beginning(fragment: bytes) -> bool:
    """Whether bytes could be appended to `fragment` so that it is one JSON object in UTF-8.

    An object that is already whole counts (nothing has to be appended); one with anything after
    it does not.
    """
    try:
        codecs.getincrementaldecoder("utf-8")().decode(fragment, final=False)
    except UnicodeDecodeError:
        return False
    if fragment[:1] != b"{":
        return not fragment
    brackets = [b"{"]
    expected, at = _NAME_OR_END, 1
    while brackets:
        at = _after_space(fragment, at)
        if at == len(fragment):
            return True
        match = _TOKEN.match(fragment, at)
        if match is None:
            return _is_cut_token(fragment[at:], expected)
        token, at = match[0], match.end()
        step = _step(expected, token, brackets)
        if step is None:
            return False
        expected = step
    return at == len(fragment)


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
