"""Redis as a guard: a script that checks, reserves and appends to a stream, one call an order.

Owns the script, and its calls as bytes. It does the least that a durable guard on Redis would: the
order is new, its desk's budget and cap hold, the hold is counted, the first answer kept, and the
order with its answer appended to a stream. It makes no decision about venues, keeps no proof and
no keyed chain. With `appendonly yes` and `appendfsync always` Redis answers after its own fsync,
one for all commands that it read together.
"""

import socket
from typing import Final

from guard.bench.blocks import BLOCK_REQUESTS, THIS_LAP, Laps, make_ring
from guard.bench.frames import LinkError
from guard.bench.workload import desk_name, order_id, request_body
from guard.bench.zmtp import open_socket

DESK_BUDGET_MICROCENTS: Final = 2**52  # Lua counts in doubles
NOTIONAL_MICROCENTS: Final = 619_000_000
STREAM: Final = b"orders"

# KEYS: desk, order, stream. ARGV: notional, the order's bytes. 0: refused; else its position + 1.
SCRIPT: Final = """
local seen = redis.call('GET', KEYS[2])
if seen then return tonumber(seen) end
local desk = redis.call('HMGET', KEYS[1], 'remaining', 'reserved', 'cap')
local notional = tonumber(ARGV[1])
local answer = 0
if desk[1] and tonumber(desk[1]) >= notional and tonumber(desk[2]) + notional <= tonumber(desk[3])
then
  redis.call('HINCRBY', KEYS[1], 'remaining', -notional)
  answer = redis.call('HINCRBY', KEYS[1], 'reserved', notional)
end
redis.call('SET', KEYS[2], answer)
redis.call('XADD', KEYS[3], '*', 'order', ARGV[2], 'answer', answer)
return answer
"""


def encode_command(*arguments: bytes) -> bytes:
    """A command as RESP has it: an array of strings."""
    parts = [b"*%d\r\n" % len(arguments)]
    parts.extend(b"$%d\r\n%b\r\n" % (len(argument), argument) for argument in arguments)
    return b"".join(parts)


def connect_redis(endpoint: str, timeout_s: float) -> tuple[socket.socket, bytes]:
    """A connected blocking socket, and the loaded script's name. Raises LinkError, OSError."""
    link = open_socket(endpoint, timeout_s)
    link.sendall(encode_command(b"SCRIPT", b"LOAD", SCRIPT.encode()))
    with link.makefile("rb") as lines:
        head = lines.readline()
        if not head.startswith(b"$40"):
            link.close()
            raise LinkError(f"Redis does not take the script: {head[:200]!r}")
        return link, lines.readline().strip()


def open_desks(endpoint: str, desks: int, timeout_s: float) -> None:
    """Gives the desks their budgets. Raises LinkError, OSError."""
    budget = b"%d" % DESK_BUDGET_MICROCENTS
    with open_socket(endpoint, timeout_s) as link, link.makefile("rb") as lines:
        for number in range(desks):
            fields = (b"remaining", budget, b"reserved", b"0", b"cap", budget)
            link.sendall(encode_command(b"HSET", desk_name(number).encode(), *fields))
            if lines.readline() != b":3\r\n":
                raise LinkError(f"Redis does not open {desk_name(number)}")


class RedisOrders:
    """One client's orders, the same bytes inside as the guard is sent."""

    def __init__(self, session: str, link: int, script: bytes, desks: int) -> None:
        notional = b"%d" % NOTIONAL_MICROCENTS
        calls = []
        for number in range(max(BLOCK_REQUESTS, desks)):
            desk, name = desk_name(number % desks), order_id(session, THIS_LAP, number)
            keys = (desk.encode(), name.encode(), STREAM)
            body = request_body("o", name, desk)
            calls.append(encode_command(b"EVALSHA", script, b"3", *keys, notional, body))
        self._laps = Laps(make_ring(calls), link, 0)

    def prelude(self) -> tuple[bytes, ...]:
        """None."""
        return ()

    def frames(self, count: int) -> bytes:
        """The next `count` commands."""
        return self._laps.take(count)
