"""The blocking client over real sockets, against a scripted peer."""

import errno
import os
import signal
import subprocess
import threading
from contextlib import closing, suppress
from decimal import Decimal
from typing import Any

import pytest
import zmq

import child_support
from client_support import (
    BITCOIN,
    ORDER,
    RESEND_AFTER_S,
    Message,
    Peer,
    answer_all,
    cancels,
    names_of,
    receive_one,
    scripted,
)
from guard.client import (
    CurveKeys,
    GuardClient,
    GuardClientError,
    GuardClosedError,
    GuardProtocolError,
    GuardRequestError,
    GuardTimeout,
    SizeError,
)
from guard.protocol.messages import Admit, ErrorReply, Order, Ping, Pong, Released


@pytest.mark.parametrize("encoding", ["msgpack", "json"])
def test_each_call_has_its_typed_answer(encoding: Any) -> None:
    with (
        scripted(answer_all(6)) as endpoint,
        GuardClient(endpoint, encoding=encoding, instruments=[BITCOIN]) as client,
    ):
        decimals = {**ORDER, "quantity": Decimal("0.5"), "price": Decimal("6190.01")}
        admit = client.order(**decimals)
        assert isinstance(admit, Admit)
        assert admit.notional_microcents == 309_500_500_000
        filled = client.fill(
            desk="desk-alpha", client_order_id="A-1", fill_id="F-1", quantity=5, fee_microcents=7
        )
        assert (filled.fill_id, filled.fee_microcents) == ("F-1", 7)
        assert client.cancel(desk="desk-alpha", client_order_id="A-1").wal_sequence == 3
        assert client.ping().head_sequence == 3
        stats = client.stats()
        assert (stats.counters, stats.syncs_by_latency_ns) == ({"messages": 3}, [(100_000, 2)])
        with pytest.raises(GuardRequestError) as caught:
            client.cancel(desk="desk-alpha", client_order_id="bad-1")
        assert (caught.value.code, caught.value.field) == ("unknown_order", "")
        assert str(caught.value) == "unknown_order: never seen"
        with pytest.raises(SizeError):
            client.order(**{**decimals, "price": Decimal("6190.015")})
        assert client.in_flight_count == 0


def test_an_array_and_a_pipeline_keep_errors_as_values() -> None:
    with scripted(answer_all(302)) as endpoint, GuardClient(endpoint, in_flight_max=256) as client:
        replies = client.submit([*cancels("A", "bad-1"), Ping()])
        assert [type(reply) for reply in replies] == [Released, ErrorReply, Pong]
        whole = client.submit(cancels(*map(str, range(256))))
        assert names_of(whole) == list(map(str, range(256)))
        pending = [client.send(request) for request in cancels(*map(str, range(300)))]
        assert names_of([each.result() for each in pending]) == list(map(str, range(300)))
        assert names_of([pending[0].result()]) == ["0"], "a result may be asked for again"
        with pytest.raises(ValueError, match="257"):
            client.submit(cancels(*map(str, range(257))))
        with pytest.raises(ValueError, match="0 in one message"):
            client.submit([])


def test_a_lost_request_is_sent_again_the_same_over_a_fresh_socket() -> None:
    def script(peer: Peer) -> None:
        first_who, first = peer.receive()
        who, request = peer.receive()
        assert request == first
        assert first["sent_at_ns"] > 0
        assert who != first_who
        peer.answer(who, request)

    with (
        scripted(script) as endpoint,
        GuardClient(endpoint, resend_after_s=RESEND_AFTER_S) as client,
    ):
        assert isinstance(client.order(**ORDER), Admit)


def test_answers_out_of_order_across_a_resend_find_their_requests() -> None:
    def script(peer: Peer) -> None:
        before = [peer.receive() for _ in range(3)]
        after = [peer.receive() for _ in range(3)]
        assert [request for _, request in after] == [request for _, request in before]
        for at in (2, 0, 1):
            peer.answer(*before[at])  # late, to a connection that is no more
            peer.answer(*after[at])
            peer.answer(*after[at])

    with (
        scripted(script) as endpoint,
        GuardClient(endpoint, resend_after_s=RESEND_AFTER_S) as client,
    ):
        pending = [client.send(request) for request in cancels("A", "B", "C")]
        assert names_of([each.result() for each in pending]) == ["A", "B", "C"]


def test_a_second_answer_is_dropped() -> None:
    def script(peer: Peer) -> None:
        who, request = peer.receive()
        peer.answer(who, request)
        peer.answer(who, request)
        peer.answer(*peer.receive())

    with scripted(script) as endpoint, GuardClient(endpoint) as client:
        assert client.cancel(desk="desk-alpha", client_order_id="A").client_order_id == "A"
        assert client.cancel(desk="desk-alpha", client_order_id="B").client_order_id == "B"
        assert client.dropped_reply_count == 1


def test_a_guard_that_restarts_is_found_again() -> None:
    def script(peer: Peer) -> None:
        _, lost = peer.receive()
        peer.close()
        peer.bind()
        who, request = peer.receive()
        assert request == lost
        peer.answer(who, request)

    with (
        scripted(script) as endpoint,
        GuardClient(endpoint, resend_after_s=RESEND_AFTER_S) as client,
    ):
        assert isinstance(client.order(**ORDER), Admit)


def test_no_guard_is_a_timeout_and_what_was_given_up_is_not_delivered_later() -> None:
    late_peer = Peer()
    late_peer.close()
    client = GuardClient(late_peer.endpoint, timeout_s=0.2, resend_after_s=RESEND_AFTER_S)
    with pytest.raises(GuardTimeout) as caught:
        client.order(**ORDER)
    (request,) = caught.value.requests
    assert isinstance(request, Order)
    assert "order 'A-1' of desk 'desk-alpha'" in str(caught.value)
    with pytest.raises(GuardTimeout, match="2 requests"):
        client.submit(cancels("A", "B"))
    seen: list[Message] = []
    is_over = threading.Event()

    def answer_until_over() -> None:
        while not is_over.is_set():
            if late_peer.socket.poll(10):
                who, wire = late_peer.receive()
                seen.append(wire)
                late_peer.answer(who, wire)

    late_peer.bind()
    thread = threading.Thread(target=answer_until_over)
    thread.start()
    with closing(late_peer), client:
        try:
            while not any(wire["type"] == "ping" for wire in seen):
                with suppress(GuardTimeout):  # ZeroMQ takes its time to connect again
                    client.ping()
            assert {wire["type"] for wire in seen} == {"ping"}, "nothing of what was given up"
            assert isinstance(client.call(request), Admit)
            assert seen[-1]["sent_at_ns"] == request.sent_at_ns
        finally:
            is_over.set()
            thread.join()


def test_a_send_at_the_bound_waits_until_something_ends() -> None:
    def script(peer: Peer) -> None:
        unanswered = peer.receive()
        peer.answer(*peer.receive())
        peer.answer(*peer.receive())  # the third, sent when the second had been answered
        peer.answer(*unanswered)

    with scripted(script) as endpoint, GuardClient(endpoint, in_flight_max=2) as client:
        pending = [client.send(request) for request in cancels("A", "B")]
        assert client.in_flight_count == 2
        pending += [client.send(request) for request in cancels("C")]
        assert pending[1].is_done
        assert not pending[0].is_done
        assert names_of([each.result() for each in pending]) == ["A", "B", "C"]


def test_a_peer_that_breaks_the_protocol_is_left_and_the_next_call_works() -> None:
    def script(peer: Peer) -> None:
        first_who, _ = peer.receive()
        peer.send(first_who, b"\xc1")
        who, request = peer.receive()
        assert who != first_who
        peer.answer(who, {**request, "client_order_id": "someone-else"})
        peer.answer(*peer.receive())

    with scripted(script) as endpoint, GuardClient(endpoint) as client:
        for _ in range(2):
            with pytest.raises(GuardProtocolError, match="UNKNOWN"):
                client.cancel(desk="desk-alpha", client_order_id="A")
        assert client.ping().version == 1


def test_close_ends_what_is_under_way_and_refuses_what_follows() -> None:
    with scripted(receive_one) as endpoint:
        client = GuardClient(endpoint)
        pending = client.send(Ping())
        client.close(linger_s=5)  # lets the request leave, so that the script ends
        client.close()
        with pytest.raises(GuardClosedError, match="UNKNOWN"):
            pending.result()
        with pytest.raises(GuardClientError, match="nothing was sent"):
            client.ping()


@pytest.mark.parametrize("method", ["ping", "close"])
def test_another_thread_is_refused(method: str) -> None:
    with scripted(answer_all(1)) as endpoint, GuardClient(endpoint) as client:
        caught: list[BaseException] = []

        def use() -> None:
            try:
                getattr(client, method)()
            except RuntimeError as error:
                caught.append(error)

        thread = threading.Thread(target=use)
        thread.start()
        thread.join()
        assert "belongs to the thread that made it" in str(caught[0])
        assert client.ping().version == 1, "it goes on"


def test_the_same_order_again_is_the_same_bytes_and_another_one_is_not() -> None:
    seen: list[Message] = []

    def script(peer: Peer) -> None:
        for _ in range(6):
            who, request = peer.receive()
            seen.append({name: request[name] for name in request if name != "request_id"})
            peer.answer(who, request)

    with scripted(script) as endpoint, GuardClient(endpoint) as client:
        client.order(**ORDER)
        client.order(**ORDER)
        client.call(client.new_order(**ORDER))
        client.order(**{**ORDER, "client_order_id": "A-2"})
        client.order(**{**ORDER, "sent_at_ns": 5})
        client.order(**ORDER)
    first, same, built, other, given, last = seen
    assert first == same == built == last
    assert first["sent_at_ns"] > 10**18
    assert other == {**first, "client_order_id": "A-2", "sent_at_ns": other["sent_at_ns"]}
    assert given == {**first, "sent_at_ns": 5}


class AlarmError(Exception):
    """Raised by a signal's handler."""


@pytest.mark.parametrize("kind", [KeyboardInterrupt, AlarmError])
def test_an_interrupted_order_is_under_way_and_the_same_call_gets_its_answer(
    kind: type[BaseException],
) -> None:
    """The interrupt comes once the order is with the guard: the guard sends it."""

    def script(peer: Peer) -> None:
        first = peer.receive()
        os.kill(os.getpid(), signal.SIGUSR1)
        again = peer.receive()
        assert {**again[1], "request_id": 0} == {**first[1], "request_id": 0}
        peer.answer(*first)
        peer.answer(*again)

    def interrupt(_number: int, _frame: object) -> None:
        raise kind

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with scripted(script) as endpoint, GuardClient(endpoint, resend_after_s=60) as client:
            with pytest.raises(kind) as caught:
                client.order(**ORDER)
            (note,) = caught.value.__notes__
            assert note.startswith(
                "order 'A-1' of desk 'desk-alpha', symbol 'BTC-PERP' stays under"
            )
            assert client.in_flight_count == 1
            answer = client.order(**ORDER)
            assert isinstance(answer, Admit)
            assert client.in_flight_count == 0
    finally:
        signal.signal(signal.SIGUSR1, before)


FORKED = """
import os, sys
from guard.client import GuardClient

client = GuardClient(sys.argv[1], timeout_s=60)
under_way = client.send(client.new_fill(
    desk="desk-alpha", client_order_id="A-1", fill_id="F-1", quantity=5, fee_microcents=7))
child = os.fork()
if child == 0:
    with client:
        for use in (client.ping, under_way.result):
            try:
                use()
            except RuntimeError as error:
                assert f"was made by process {os.getppid()} before the fork" in str(error), error
            else:
                sys.exit("not refused")
    with GuardClient(sys.argv[1], timeout_s=60) as own:
        assert own.ping().version == 1
    sys.exit()
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert under_way.result().fill_id == "F-1"
assert client.ping().version == 1
client.close()
"""


def test_a_forked_child_is_refused_and_the_parents_client_goes_on() -> None:
    with scripted(answer_all(3)) as endpoint:
        done = subprocess.run(
            child_support.code(FORKED, endpoint, flags=("-W", "ignore::DeprecationWarning")),
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.skipif(not zmq.has("curve"), reason="this ZeroMQ was built without CURVE")
def test_an_encrypted_connection() -> None:
    server_public, server_secret = zmq.curve_keypair()
    public, secret = zmq.curve_keypair()
    keys = CurveKeys(server_public.decode(), public.decode(), secret.decode())
    assert secret.decode() not in repr(keys)
    with scripted(answer_all(1), server_secret) as endpoint:
        with GuardClient(endpoint, timeout_s=0.2) as plain, pytest.raises(GuardTimeout):
            plain.ping()
        with GuardClient(endpoint, curve=keys) as client:
            assert client.ping().version == 1


def test_where_no_new_socket_is_to_be_had_the_client_closes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse() -> None:
        raise zmq.ZMQError(errno.EMFILE)

    with (
        scripted(receive_one) as endpoint,
        GuardClient(endpoint, in_flight_max=1, resend_after_s=RESEND_AFTER_S) as client,
    ):
        monkeypatch.setattr(client, "_open_socket", refuse)
        pending = client.send(Ping())
        with pytest.raises(GuardClientError, match="nothing was sent"):
            client.ping()  # waits for room
        with pytest.raises(GuardClosedError, match="no new socket"):
            pending.result()
