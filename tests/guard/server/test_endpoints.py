"""Where the door listens: addresses, and the file of a unix socket."""

import os
import socket
import stat
from pathlib import Path

import pytest

from guard.server.endpoints import Endpoint, EndpointError
from server_support import Wire, answer, frame, open_listener, take


def bound(text: str, mode: int = 0o600) -> Endpoint:
    return Endpoint(text, 16, mode)


def test_a_unix_socket_and_who_is_at_its_other_end(tmp_path: Path) -> None:
    path = tmp_path / "orders"
    door = open_listener(f"ipc://{path}")
    assert door.endpoint == f"ipc://{path}"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with Wire(door) as wire:
        wire.connected().send(frame(b"x"))
        received = take(door)
        credentials = received[0].credentials
        assert credentials == (os.getpid(), os.getuid(), os.getgid())
        assert received[0].address == f"process {os.getpid()} of user {os.getuid()}"
        answer(door, received, b"y")
        wire.until(frame(b"y"))
    door.close()
    assert not path.exists()


def test_the_files_mode_is_the_policys(tmp_path: Path) -> None:
    path = tmp_path / "orders"
    door = open_listener(f"ipc://{path}", socket_mode=0o660)
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    door.close()


def test_a_socket_that_nobody_listens_on_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "orders"
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    assert stat.S_ISSOCK(path.stat().st_mode)
    endpoint = bound(f"ipc://{path}")
    endpoint.close()
    assert not path.exists()


def test_a_socket_that_somebody_listens_on_stays(tmp_path: Path) -> None:
    path = tmp_path / "orders"
    endpoint = bound(f"ipc://{path}")
    with pytest.raises(EndpointError, match="another process listens there"):
        bound(f"ipc://{path}")
    assert path.exists()
    endpoint.close()


def test_a_file_that_is_no_socket_stays(tmp_path: Path) -> None:
    path = tmp_path / "orders"
    path.write_text("precious")
    with pytest.raises(EndpointError, match="a file that is no socket is there"):
        bound(f"ipc://{path}")
    link = tmp_path / "link"
    link.symlink_to(path)
    with pytest.raises(EndpointError, match="a file that is no socket is there"):
        bound(f"ipc://{link}")
    assert path.read_text() == "precious"


def test_a_file_that_is_anothers_by_now_stays(tmp_path: Path) -> None:
    path = tmp_path / "orders"
    first = bound(f"ipc://{path}")
    path.unlink()
    second = bound(f"ipc://{path}")
    first.close()
    assert path.exists()
    second.close()
    second.close()
    assert not path.exists()


def test_a_name_without_a_file() -> None:
    text = f"ipc://@pretrade-guard-test-{os.getpid()}"
    endpoint = bound(text)
    assert endpoint.text == text
    with pytest.raises(EndpointError):
        bound(text)
    endpoint.close()


@pytest.mark.parametrize("place", ["127.0.0.1:*", "localhost:*", "*:*", "0.0.0.0:0"])
def test_tcp(place: str) -> None:
    endpoint = bound(f"tcp://{place}")
    host, port = endpoint.socket.getsockname()
    assert endpoint.text == f"tcp://{host}:{port}"
    assert host == ("0.0.0.0" if place[0] in "*0" else "127.0.0.1")
    assert not endpoint.socket.getblocking()
    endpoint.close()


def test_the_newer_family() -> None:
    try:
        endpoint = bound("tcp://[::1]:*")
    except EndpointError:
        pytest.skip("no such address here")
    port = endpoint.socket.getsockname()[1]
    assert endpoint.text == f"tcp://[::1]:{port}"
    endpoint.close()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "allowed: tcp://ADDRESS:PORT, ipc://PATH"),
        ("inproc://orders", "allowed: tcp://ADDRESS:PORT, ipc://PATH"),
        ("ipc://", "allowed: tcp://ADDRESS:PORT, ipc://PATH"),
        ("ipc://" + "x" * 108, "108 bytes of path; allowed: 107"),
        ("tcp://127.0.0.1", "allowed: tcp://ADDRESS:PORT, with * for any"),
        ("tcp://:7001", "allowed: tcp://ADDRESS:PORT, with * for any"),
        ("tcp://127.0.0.1:", "allowed: tcp://ADDRESS:PORT, with * for any"),
        ("tcp://127.0.0.1:65536", "allowed: tcp://ADDRESS:PORT, with * for any"),
        ("tcp://127.0.0.1:-1", "allowed: tcp://ADDRESS:PORT, with * for any"),
        ("tcp://no.such.name.invalid:1", ""),
        ("tcp://192.0.2.1:1", ""),
        ("ipc:///no/such/directory/orders", "No such file or directory"),
    ],
)
def test_where_nobody_can_listen(text: str, message: str) -> None:
    with pytest.raises(EndpointError) as caught:
        bound(text)
    assert message in str(caught.value)
