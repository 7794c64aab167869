"""Which requests go first: those that free exposure, or ask for an order's state. Pure.

Owns a look at a body's first bytes, taken while other clients stand in line. It is a hint and no
judgement: a request that is wrong in other ways gets its error, only earlier. Its type must be the
first thing in it, where most encoders put it; anywhere else it could be a part of another value,
and an order could pass for a cancel by its name. An array goes with the others: it may hold orders.
"""

import re
from typing import Final

FIRST_TYPES: Final = (
    b"cancel", b"cancel_all", b"execution", b"fill", b"reduce", b"replace_rejected", b"replaced",
    b"status",
)  # fmt: skip

# MessagePack: a map of up to 15, up to 65,535 or more keys; JSON: with any spaces.
_LOOK: Final = re.compile(
    rb"""(?: (?: [\x80-\x8f] | \xde.. | \xdf.... ) \xa4type [\xa0-\xbf]
         | \{ [ \t\r\n]* "type" [ \t\r\n]* : [ \t\r\n]* "
       ) (?: %b ) (?: [^a-z_] | $ )"""
    % b"|".join(FIRST_TYPES),
    re.VERBOSE | re.DOTALL,
)


def frees(body: bytes) -> bool:
    """Does it begin as such a request does?"""
    return _LOOK.match(body) is not None
