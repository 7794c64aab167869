"""What a type checker knows of an answer, by the request. Never run: mypy reads it.

`test_typed_answers.py` and CI have it checked; `assert_type` fails where the type is another.
"""

import asyncio
from typing import assert_type

from guard.client import (
    Admit,
    AllOrNone,
    AllOrNoneAnswer,
    AsyncGuardClient,
    Cancel,
    ErrorReply,
    Fill,
    Filled,
    GuardClient,
    Hello,
    HelloReply,
    Order,
    Pending,
    Ping,
    Pong,
    Reject,
    Released,
    Reply,
    Request,
    Stats,
    StatsReply,
    Status,
    StatusReply,
)
from guard.protocol.messages import Answer


def plain(
    guard: GuardClient, order: Order, fill: Fill, cancel: Cancel, status: Status, some: Request
) -> None:
    """Calls, and requests under way, of the blocking client."""
    answer = guard.order(
        client_order_id="A", desk="d", symbol="s", side="buy", quantity=1, price=1, venue=1,
        risk_bps=1, confidence_bps=1,
    )  # fmt: skip
    assert_type(answer, Admit | Reject)
    guard.order(client_order_id="A", dusk="d")  # type: ignore[call-arg]
    assert_type(
        guard.fill(desk="d", client_order_id="A", fill_id="F", quantity=1, fee_microcents=0),
        Filled,
    )
    assert_type(guard.cancel(desk="d", client_order_id="A"), Released)
    assert_type(guard.status(desk="d", client_order_id="A"), StatusReply)
    assert_type(guard.ping(), Pong)
    assert_type(guard.stats(), StatsReply)
    assert_type(guard.call(order), Admit | Reject)
    assert_type(guard.all_or_none([order]), AllOrNoneAnswer)
    assert_type(guard.call(AllOrNone([order])), AllOrNoneAnswer)
    assert_type(guard.send(AllOrNone([order])), Pending[AllOrNoneAnswer | ErrorReply])
    assert_type(guard.call(fill), Filled)
    assert_type(guard.call(cancel), Released)
    assert_type(guard.call(status), StatusReply)
    assert_type(guard.call(Ping()), Pong)
    assert_type(guard.call(Stats()), StatsReply)
    assert_type(guard.call(Hello()), HelloReply)
    assert_type(guard.call(some), Answer)
    assert_type(guard.send(order), Pending[Admit | Reject | ErrorReply])
    assert_type(guard.send(order).result(), Admit | Reject | ErrorReply)
    assert_type(guard.send(fill).result(), Filled | ErrorReply)
    assert_type(guard.send(cancel).result(), Released | ErrorReply)
    assert_type(guard.send(status).result(), StatusReply | ErrorReply)
    assert_type(guard.send(Ping()).result(), Pong | ErrorReply)
    assert_type(guard.send(Stats()).result(), StatsReply | ErrorReply)
    assert_type(guard.send(Hello()).result(), HelloReply | ErrorReply)
    assert_type(guard.send(some).result(), Reply)
    assert_type(guard.submit([order, fill]), list[Reply])


async def awaited(
    guard: AsyncGuardClient, order: Order, fill: Fill, cancel: Cancel, status: Status, some: Request
) -> None:
    """The same of the asyncio client."""
    answer = await guard.order(
        client_order_id="A", desk="d", symbol="s", side="buy", quantity=1, price=1, venue=1,
        risk_bps=1, confidence_bps=1,
    )  # fmt: skip
    assert_type(answer, Admit | Reject)
    assert_type(await guard.cancel(desk="d", client_order_id="A"), Released)
    assert_type(await guard.status(desk="d", client_order_id="A"), StatusReply)
    assert_type(await guard.call(order), Admit | Reject)
    assert_type(await guard.all_or_none([order]), AllOrNoneAnswer)
    assert_type(await (await guard.send(AllOrNone([order]))), AllOrNoneAnswer | ErrorReply)
    assert_type(await guard.call(fill), Filled)
    assert_type(await guard.call(cancel), Released)
    assert_type(await guard.call(status), StatusReply)
    assert_type(await guard.call(Ping()), Pong)
    assert_type(await guard.call(Stats()), StatsReply)
    assert_type(await guard.call(Hello()), HelloReply)
    assert_type(await guard.call(some), Answer)
    under_way = await guard.send(order)
    assert_type(under_way, asyncio.Future[Admit | Reject | ErrorReply])
    assert_type(await under_way, Admit | Reject | ErrorReply)
    assert_type(await (await guard.send(fill)), Filled | ErrorReply)
    assert_type(await (await guard.send(cancel)), Released | ErrorReply)
    assert_type(await (await guard.send(status)), StatusReply | ErrorReply)
    assert_type(await (await guard.send(Ping())), Pong | ErrorReply)
    assert_type(await (await guard.send(Stats())), StatsReply | ErrorReply)
    assert_type(await (await guard.send(Hello())), HelloReply | ErrorReply)
    assert_type(await (await guard.send(some)), Reply)
