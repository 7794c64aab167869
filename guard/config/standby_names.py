"""What PostgreSQL's `synchronous_standby_names` may say, as far as a file can show it. Pure.

Owns its grammar (PostgreSQL, 20.6.2): `ANY n (name, ...)`, `FIRST n (name, ...)`, `n (name, ...)`,
or names alone, of which the first one there is waited for. A text that PostgreSQL would not take
never stands there, so that no commit would ever be found fit; and one that asks for more standbys
than it names holds up every commit for good.

How it fails: `standby_names_problem` gives the words for what is wrong.
"""

import re
from typing import Final

_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<name>[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_$\x80-\U0010ffff]*|"(?:[^"]|"")+"|\*)"""
    r"""|(?P<number>[0-9]+)|(?P<sign>[(),]))"""
)
_FORMS: Final = "allowed: what synchronous_standby_names says, as in 'ANY 1 (b, c)'"
_METHODS: Final = ("any", "first")
_EVERYBODY: Final = "*"


def standby_names_problem(text: str) -> str | None:
    """What is wrong with the text; None where PostgreSQL takes it and a commit can be confirmed."""
    if not text.strip():
        return f"an empty text is not allowed: a commit would wait for nobody; {_FORMS}"
    tokens = _tokens(text)
    if isinstance(tokens, str):
        return f"{text!r} is not allowed: {tokens}; {_FORMS}"
    problem = _problem(tokens)
    return None if problem is None else f"{text!r} is not allowed: {problem}; {_FORMS}"


def _tokens(text: str) -> list[str] | str:
    """Its tokens, or what of it is none."""
    found: list[str] = []
    at, end = 0, len(text.rstrip())
    while at < end:
        token = _TOKEN.match(text, at)
        if token is None:
            rest = text[at:].strip()
            hint = ' (other names than of letters, digits and _ stand in "")'
            return f"{rest[:20]!r} is neither a name nor a number{hint}"
        found.append(token.group().strip())
        at = token.end()
    return found


def _problem(tokens: list[str]) -> str | None:
    """What of these is not the grammar's, or can never be fulfilled."""
    has_method = tokens[0].lower() in _METHODS
    rest = tokens[1:] if has_method else tokens
    if not has_method and tokens[1:2] != ["("]:
        return _list_problem(tokens)
    count = rest[0] if rest else ""
    if not count.isdecimal():
        return "a number of standbys stands before the names"
    if rest[1:2] != ["("]:
        return "the names stand in brackets behind the number"
    if rest[-1] != ")":
        return "its bracket is not closed"
    names = rest[2:-1]
    if (problem := _list_problem(names)) is not None:
        return problem
    asked, named = int(count), {name.strip('"').lower() for name in names[::2]}
    if asked < 1:
        return "a commit would wait for nobody"
    if _EVERYBODY not in named and asked > len(named):
        return f"it asks for {asked} standbys, and names {len(named)}"
    return None


def _list_problem(tokens: list[str]) -> str | None:
    """What is wrong with names between commas."""
    names, commas = tokens[::2], tokens[1::2]
    if not names or any(name in ("(", ")", ",") for name in names):
        return "a name is missing"
    if any(comma != "," for comma in commas):
        return "its names are not parted by commas"
    if len(names) == len(commas):
        return "a name is missing behind the last comma"
    return None
