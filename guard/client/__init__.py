"""The Python client of the order protocol (`guard/PROTOCOL.md`): start here.

Owns nothing but this front door. `GuardClient` is for plain programs, `AsyncGuardClient` for
asyncio and uvloop; both have the same methods:

    with GuardClient("tcp://127.0.0.1:7001", instruments=[spec]) as guard:
        answer = guard.order(client_order_id="A-1", desk="desk-alpha", symbol="ES", side="buy",
                             quantity=Decimal("5"), price=Decimal("6190.25"), venue=10,
                             risk_bps=200, confidence_bps=9000)

`order` answers an `Admit` or a `Reject`, `fill` a `Filled`, `cancel` a `Released`, `reduce` a
`Reduced`, `replace` what an order does, `replaced` and `replace_rejected` a `ReplaceSettled`,
`status` a `StatusReply`, `ping` a `Pong`, `stats` a `StatsReply`; `call(request)` the same by the
request's type, `send(request)` that or an `ErrorReply`. All of them are importable from here.

How it works. Each request is numbered, and replies are matched by number alone. A request without
a reply is sent again, the same bytes under the same ids, until `timeout_s`; the guard answers a
repeat by the first answer, so that this is safe. Modules: `synchronous` and `asynchronous` wait,
`base` holds the socket, `session` and `codec` match, plan and encode (pure), `requests` and
`values` turn Decimals into lots, ticks and microcents, exactly; `options` checks what a client is
made with, `stamps` knows when an order was first sent.

The same order again. The guard takes an order for the same only if its `sent_at_ns` is the same
too. A client keeps the stamps that it gave, of its last 16,384 orders at least: the same call
again, with the same arguments, is a repeat and gets the first answer. So does one that Ctrl-C
interrupted, whose order is under way and may take effect. A program that may start anew in between
gives a `sent_at_ns` of its own, and keeps it.

The first argument may be a list of endpoints, of the guards of one log (`guard/CLUSTER.md`): the
client finds the one that serves, and what is under way goes there again when another takes over.
With one endpoint it gets what that guard says: one that stands by marks what it knows
(`behind_records`, `behind_ns`), and refuses all else (`not_serving`).

Options of both:

* `instruments`: InstrumentSpecs; needed to give sizes as Decimals.
* `encoding`: "msgpack" (default) or "json".
* `timeout_s` (10): patience with a request, from its first sending, resends included.
* `resend_after_s` (1): first resend; later ones after 2, 4, … times as long.
* `in_flight_max` (512, at most 1,000): requests under way; a further `send` waits for room.
* `stamp_orders` (true): an order without `sent_at_ns` gets this machine's time, once. The guard
  then refuses a resend that it could no longer recognise. Needs clocks that agree to within the
  guard's window of remembered ids.
* `linger_s` (0.1): how long `close` lets unsent messages leave.
* `curve`: CurveKeys, where the guard asks for them. * `context`: a ZeroMQ context of your own.

How it fails. `GuardRequestError`: refused, nothing changed. `OutcomeUnknownError` (`GuardTimeout`,
`GuardProtocolError`, `GuardClosedError`): it may have taken effect; the error carries the requests
to send again. `SizeError`, `TypeError`, `ValueError`: nothing was sent; an option or argument is
named. `RuntimeError`: another thread, or a forked child, used it. A guard that was never
reached is a `GuardTimeout` too: ZeroMQ connects in the background and cannot tell.

Do not pipeline a request that depends on another one's answer (a cancel behind its order): should
the first be lost with a broken connection, the second may arrive before its resend.
"""

from guard.client.asynchronous import AsyncGuardClient
from guard.client.errors import (
    GuardClientError,
    GuardClosedError,
    GuardProtocolError,
    GuardRequestError,
    GuardTimeout,
    OutcomeUnknownError,
)
from guard.client.options import CurveKeys
from guard.client.synchronous import GuardClient, Pending
from guard.client.values import (
    InstrumentSpec,
    SizeError,
    decimal_to_microcents,
    microcents_to_decimal,
)
from guard.protocol.messages import (
    Admit,
    AllOrNone,
    AllOrNoneAnswer,
    Cancel,
    CancelAll,
    CanceledAll,
    ErrorReply,
    Executed,
    Execution,
    Fill,
    Filled,
    Hello,
    HelloReply,
    LimitLine,
    LimitsReply,
    Mark,
    Marked,
    Order,
    Ping,
    Pong,
    PositionsReply,
    Reduce,
    Reduced,
    Reject,
    Released,
    Replace,
    Replaced,
    ReplaceRejected,
    ReplaceSettled,
    Reply,
    ShowLimits,
    ShowPositions,
    Stats,
    StatsReply,
    Status,
    StatusReply,
    SymbolPosition,
)
from guard.protocol.messages import AnyRequest as Request

__all__ = [
    "Admit",
    "AllOrNone",
    "AllOrNoneAnswer",
    "AsyncGuardClient",
    "Cancel",
    "CancelAll",
    "CanceledAll",
    "CurveKeys",
    "ErrorReply",
    "Executed",
    "Execution",
    "Fill",
    "Filled",
    "GuardClient",
    "GuardClientError",
    "GuardClosedError",
    "GuardProtocolError",
    "GuardRequestError",
    "GuardTimeout",
    "Hello",
    "HelloReply",
    "InstrumentSpec",
    "LimitLine",
    "LimitsReply",
    "Mark",
    "Marked",
    "Order",
    "OutcomeUnknownError",
    "Pending",
    "Ping",
    "Pong",
    "PositionsReply",
    "Reduce",
    "Reduced",
    "Reject",
    "Released",
    "Replace",
    "ReplaceRejected",
    "ReplaceSettled",
    "Replaced",
    "Reply",
    "Request",
    "ShowLimits",
    "ShowPositions",
    "SizeError",
    "Stats",
    "StatsReply",
    "Status",
    "StatusReply",
    "SymbolPosition",
    "decimal_to_microcents",
    "microcents_to_decimal",
]
