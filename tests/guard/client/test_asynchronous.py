"""The asyncio client over real sockets, on both loops, against a scripted peer."""

import asyncio
import errno
import subprocess
from collections.abc import Callable, Coroutine
from decimal import Decimal
from typing import Any

import pytest
import uvloop
import zmq

import child_support
from client_support import (
    BITCOIN,
    ORDER,
    RESEND_AFTER_S,
    Peer,
    answer_all,
    cancels,
    names_of,
    receive_one,
    scripted,
)
from guard.client import (
    AsyncGuardClient,
    GuardClientError,
    GuardClosedError,
    GuardProtocolError,
    GuardRequestError,
    GuardTimeout,
)
from guard.protocol.messages import Admit, Cancel, ErrorReply, Ping, Pong, Released, Reply, Status

RunLoop = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run_loop(request: pytest.FixtureRequest) -> RunLoop:
    return request.param  # type: ignore[no-any-return]


def test_calls_have_their_typed_answers(run_loop: RunLoop) -> None:
    async def main() -> None:
        async with AsyncGuardClient(endpoint, instruments=[BITCOIN]) as client:
            decimals = {**ORDER, "quantity": Decimal("0.5"), "price": Decimal("6190.01")}
            admit = await client.order(**decimals)
            assert isinstance(admit, Admit)
            assert admit.notional_microcents == 309_500_500_000
            filled = await client.fill(
                desk="d", client_order_id="A-1", fill_id="F-1", quantity=5, fee_microcents=7
            )
            assert filled.fill_id == "F-1"
            assert (await client.cancel(desk="d", client_order_id="A-1")).wal_sequence == 3
            assert (await client.ping()).head_sequence == 3
            stats = await client.stats()
            assert (stats.counters, stats.syncs_by_latency_ns) == ({"messages": 3}, [(100_000, 2)])
            with pytest.raises(GuardRequestError, match="never seen"):
                await client.cancel(desk="d", client_order_id="bad-1")
            replies = await client.submit([*cancels("A", "bad-1"), Ping()])
            assert [type(reply) for reply in replies] == [Released, ErrorReply, Pong]

    with scripted(answer_all(7)) as endpoint:
        run_loop(main())


def test_thousands_in_flight_under_a_bound(run_loop: RunLoop) -> None:
    async def main() -> None:
        async with AsyncGuardClient(endpoint, in_flight_max=300, resend_after_s=60) as client:

            async def one(name: str) -> Reply:
                assert client.in_flight_count <= 300
                return await client.call(Cancel("desk-alpha", name))

            names = [f"A-{at}" for at in range(3_000)]
            many = asyncio.gather(*map(one, names))
            whole = await client.submit(cancels(*names[:256]))
            assert names_of(await many) == names
            assert names_of(whole) == names[:256]
            assert client.in_flight_count == 0

    with scripted(answer_all(3_001)) as endpoint:
        run_loop(main())


def test_resends_and_answers_out_of_order(run_loop: RunLoop) -> None:
    def script(peer: Peer) -> None:
        before = [peer.receive() for _ in range(3)]
        after = [peer.receive() for _ in range(3)]
        assert [request for _, request in after] == [request for _, request in before]
        peer.close()
        peer.bind()
        last = [peer.receive() for _ in range(3)]
        for at in (2, 0, 1):
            peer.answer(*last[at])

    async def main() -> None:
        async with AsyncGuardClient(endpoint, resend_after_s=RESEND_AFTER_S) as client:
            futures = [await client.send(request) for request in cancels("A", "B", "C")]
            assert names_of(list(await asyncio.gather(*futures))) == ["A", "B", "C"]

    with scripted(script) as endpoint:
        run_loop(main())


def test_a_cancelled_task_gives_up_its_reply_alone(run_loop: RunLoop) -> None:
    def script(peer: Peer) -> None:
        given_up = peer.receive()
        next_one = peer.receive()
        peer.answer(*given_up)
        peer.answer(*next_one)

    async def main() -> None:
        async with AsyncGuardClient(endpoint, in_flight_max=1) as client:
            future = await client.send(cancels("A")[0])
            waiting = asyncio.create_task(client.cancel(desk="desk-alpha", client_order_id="B"))
            await asyncio.sleep(0)  # lets it reach the bound
            future.cancel()
            assert (await waiting).client_order_id == "B"
            assert client.dropped_reply_count == 1

    with scripted(script) as endpoint:
        run_loop(main())


def test_no_guard_is_a_timeout(run_loop: RunLoop) -> None:
    async def main() -> None:
        async with AsyncGuardClient(endpoint, timeout_s=0.2, resend_after_s=0.05) as client:
            with pytest.raises(GuardTimeout, match="UNKNOWN") as caught:
                await client.order(**ORDER)
            assert len(caught.value.requests) == 1
            with pytest.raises(GuardTimeout):
                await client.call(Status("desk-alpha", "A-1"))

    with scripted(lambda peer: peer.socket.unbind(peer.endpoint)) as endpoint:
        run_loop(main())


def test_close_ends_what_is_under_way_and_who_waits_for_room(run_loop: RunLoop) -> None:
    async def main() -> None:
        client = AsyncGuardClient(endpoint, in_flight_max=1)
        future = await client.send(Ping())
        waiting = asyncio.create_task(client.ping())
        await asyncio.sleep(0)  # lets it reach the bound
        client.close(linger_s=5)
        client.close()
        with pytest.raises(GuardClosedError):
            await future
        with pytest.raises(GuardClientError, match="nothing was sent"):
            await waiting
        with pytest.raises(GuardClientError, match="nothing was sent"):
            await client.submit([Ping()])

    with scripted(receive_one) as endpoint:
        run_loop(main())


def test_broken_protocol_ends_what_is_under_way(run_loop: RunLoop) -> None:
    def script(peer: Peer) -> None:
        who, _ = peer.receive()
        peer.receive()
        peer.send(who, b"\xc1")
        peer.answer(*peer.receive())

    async def main() -> None:
        async with AsyncGuardClient(endpoint) as client:
            futures = [await client.send(request) for request in cancels("A", "B")]
            for future in futures:
                with pytest.raises(GuardProtocolError):
                    await future
            assert (await client.ping()).version == 1

    with scripted(script) as endpoint:
        run_loop(main())


def test_where_no_new_socket_is_to_be_had_the_client_closes(
    run_loop: RunLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise zmq.ZMQError(errno.EMFILE)

    async def main() -> None:
        async with AsyncGuardClient(endpoint, resend_after_s=RESEND_AFTER_S) as client:
            monkeypatch.setattr(client, "_open_socket", refuse)
            with pytest.raises(GuardClosedError, match="no new socket"):
                await client.ping()
            with pytest.raises(GuardClientError, match="nothing was sent"):
                await client.ping()

    with scripted(receive_one) as endpoint:
        run_loop(main())


FORKED = """
import asyncio, os, sys
from guard.client import AsyncGuardClient

async def main():
    async with AsyncGuardClient(sys.argv[1], timeout_s=60) as client:
        assert (await client.ping()).version == 1
        child = os.fork()
        if child == 0:
            code = 1
            try:
                client.ping().send(None)  # this loop is the parent's, too
            except RuntimeError as error:
                code = 0 if "before the fork; make another in the child" in str(error) else 2
            client.close()
            os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert (await client.ping()).version == 1

asyncio.run(main())
"""


def test_a_forked_child_is_refused_and_the_parents_client_goes_on() -> None:
    with scripted(answer_all(2)) as endpoint:
        done = subprocess.run(
            child_support.code(FORKED, endpoint, flags=("-W", "ignore::DeprecationWarning")),
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
