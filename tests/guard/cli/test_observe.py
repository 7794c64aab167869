"""`observe` beside a real daemon: that dies and comes back, that was never there, that is watched
by many, and by one who never reads."""

import signal
import socket
from pathlib import Path

import pytest

pytest.importorskip("uvicorn", reason="needs the extra observe")

from daemon_support import Site, config_text
from guard.cli import main, observe
from observe_support import Observer, observing
from protocol_client import ProtocolClient, order

ADMITTED = (
    'pretrade_guard_orders_total{reason="requested_model_maximizes_utility",'
    'stage="kernel",verdict="admit"}'
)
STREAMS = 50


def is_ready(observer: Observer) -> bool:
    return observer.ask("/readyz")[0] == 200


def counted(observer: Observer, count: int) -> bool:
    return observer.metric(ADMITTED) == count


@pytest.mark.parametrize("source", ["files", "feed"])
def test_it_outlives_the_daemon_and_goes_on_counting_where_it_was(
    tmp_path: Path, source: str
) -> None:
    feed = f"ipc://{tmp_path}/feed"
    config = config_text()
    if source == "feed":
        config = config.replace("[endpoints]", f'[endpoints]\nfeed = "{feed}"')
    site = Site(tmp_path, config)
    more = ("--feed", feed) if source == "feed" else ()
    with observing(site.log, "--timeout-s", "0.3", *more) as observer:
        status, said = observer.ask("/readyz")
        assert (status, said[:35]) == (503, "silent: the daemon has not answered")
        with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
            observer.wait_until(lambda: is_ready(observer) and observer.data("/data/desks"))
            for number in range(3):
                assert client.ask(order(f"A-{number}"))["type"] == "admit"
            assert client.ask(order("A-9", symbol="none"))["type"] == "reject"
            observer.wait_until(lambda: counted(observer, 3))
            observer.wait_until(lambda: observer.data("/data/now")["rejects"])
            daemon.signal(signal.SIGKILL)
            daemon.wait()
        observer.wait_until(lambda: observer.data("/data/now")["error"])
        with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
            assert client.ask(order("B-1"))["type"] == "admit"
            observer.wait_until(lambda: observer.data("/data/now")["daemon"]["epoch"] == 2)
            assert is_ready(observer)
            observer.wait_until(lambda: counted(observer, 4))
            now = observer.data("/data/now")
            assert now["feed"]["gaps"] == 0
            assert now["rejects"][0]["words"] == "no such symbol"
            assert daemon.stop() == 0
        assert observer.stop() == 0


def test_what_was_before_it_began_is_shown_and_not_counted(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as client:
        client.ask(order("A-1"))
        client.ask(order("A-2", symbol="none"))
        with observing(site.log) as observer:
            observer.wait_until(lambda: observer.data("/data/now")["rejects"])
            assert observer.metric("pretrade_guard_feed_records_total") == 0
            client.ask(order("A-3"))
            observer.wait_until(lambda: counted(observer, 1))
            observer.wait_until(
                lambda: any(row["held_microcents"] for row in observer.data("/data/desks"))
            )
            orders = observer.data("/data/open-orders?desk=desk-alpha")["orders"]
            assert [row["client_order_id"] for row in orders] == ["A-1", "A-3"]


def open_stream(observer: Observer, receive_bytes: int | None = None) -> socket.socket:
    stream = socket.socket()
    if receive_bytes is not None:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    stream.settimeout(30)
    stream.connect(("127.0.0.1", observer.port))
    stream.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    return stream


def read_until(stream: socket.socket, what: bytes) -> bytes:
    found = b""
    while what not in found:
        part = stream.recv(65_536)
        assert part, found
        found += part
    return found


def test_fifty_browsers_and_one_that_never_reads(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with site.running(), observing(site.log) as observer:
        observer.wait_until(lambda: is_ready(observer))
        stuck = open_stream(observer, receive_bytes=4_096)
        streams = [open_stream(observer) for _ in range(STREAMS)]
        try:
            for stream in streams:
                found = read_until(stream, b"event: now\n")
                assert found.startswith(b"HTTP/1.1 200 OK\r\n")
                assert b"content-type: text/event-stream" in found
            for stream in streams:
                read_until(stream, b"event: now\n")  # and the next look, for each of them
            assert is_ready(observer)
            assert observer.process.poll() is None
            assert observer.stop() == 0  # open pages hold up no end
        finally:
            for stream in (stuck, *streams):
                stream.close()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--listen", "0.0.0.0:0"), "is not a loopback address: whoever reaches it reads"),
        (("--feed", "nonsense"), "--feed: endpoint: 'nonsense' is not allowed"),
        (("--listen", "nonsense"), "--listen: 'nonsense' is not allowed; allowed: a loopback"),
    ],
)
def test_wrong_use_is_said(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    said: str,
) -> None:
    assert main(["observe", "--log", str(tmp_path), *arguments]) == 2
    assert said in capsys.readouterr().err


def test_an_endpoint_that_none_can_have_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["observe", "--endpoint", "tcp://127.0.0.1"]) == 2
    assert "--endpoint: endpoint: 'tcp://127.0.0.1' is not allowed" in capsys.readouterr().err


def test_without_the_extra_it_says_what_to_install(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observe, "NEEDED", ("uvicorn", "no_such_module"))
    assert main(["observe", "--log", str(tmp_path)]) == 2
    said = "observe needs no_such_module: pip install 'pretrade-guard[observe]'"
    assert said in capsys.readouterr().err
