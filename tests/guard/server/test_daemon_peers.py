"""Clients that go away: whatever they leave behind, the daemon serves the others.

Stock clients, which died in the middle of what they sent: each of these ended the daemon once.
"""

import subprocess
import sys
import time
from pathlib import Path

import pytest
import zmq

from daemon_support import Site
from patience_support import PATIENCE_S
from protocol_client import PING, ProtocolClient

pytestmark = [pytest.mark.slow, pytest.mark.long]

# A libzmq that had stopped reading a connection whose peer is gone aborted at a heartbeat of its
# own, the second after: as far apart as the daemon had them.
HEARTBEATS_S = 21.0
KILLS = 9
KILLED_AFTER_S = 0.7
# So often that one stands among what is buffered whenever reading stops.
FLOODING_CLIENT = """
import sys, zmq
socket = zmq.Context().socket(zmq.DEALER)
socket.set(zmq.HEARTBEAT_IVL, 2)
socket.connect(sys.argv[1])
print("connected", flush=True)
while True:
    socket.send(b'{"type":"ping"}')
"""


def flooding(endpoint: str) -> "subprocess.Popen[bytes]":
    """A client that sends as fast as it can, its heartbeats between."""
    process = subprocess.Popen(
        [sys.executable, "-c", FLOODING_CLIENT, endpoint], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"connected\n"
    return process


@pytest.mark.slow
def test_clients_killed_while_they_send_as_fast_as_they_can(tmp_path: Path) -> None:
    site = Site(tmp_path)
    with site.running() as daemon, ProtocolClient(daemon.endpoint) as good:
        for _ in range(KILLS // 3):
            clients = [flooding(daemon.endpoint) for _ in range(3)]
            try:
                time.sleep(KILLED_AFTER_S)
                assert good.ask(PING)["type"] == "pong"
            finally:
                for client in clients:
                    client.kill()
                    client.wait(PATIENCE_S)
                    assert client.stdout is not None
                    client.stdout.close()
            assert good.ask(PING)["type"] == "pong", daemon.stderr
        assert daemon.process.poll() is None, daemon.stderr
        assert daemon.stop() == 0
    site.verify()


@pytest.mark.slow
def test_one_of_two_under_the_same_routing_id_goes_with_its_last_word(tmp_path: Path) -> None:
    site = Site(tmp_path)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()

    def trader() -> "zmq.Socket[bytes]":
        socket = context.socket(zmq.DEALER)
        socket.set(zmq.ROUTING_ID, b"trader-1")
        socket.connect(daemon.endpoint)
        socket.send(b'{"type":"ping"}')
        return socket

    with site.running() as daemon, ProtocolClient(daemon.endpoint) as good:
        first = trader()
        assert first.poll(int(PATIENCE_S * 1_000))
        second = trader()
        second.poll(1_000)  # answered or not
        first.send(b'{"type":"ping"}')
        first.poll(200)
        first.close(linger=0)
        end = time.monotonic() + HEARTBEATS_S
        while time.monotonic() < end:
            assert daemon.process.poll() is None, daemon.stderr
            assert good.ask(PING)["type"] == "pong"
            time.sleep(0.1)
        second.close(linger=0)
        assert daemon.stop() == 0
    context.term()
    site.verify()
