"""What CURVE costs: a daemon with keys beside one without, in turn; what a permit costs.

    python tests/bench/bench_curve.py [ROUNDS]

The client is the bench's own, over the same sealing as the daemon's, on one connection. Of each
round: orders a second and the daemon's processor time an order, 512 in flight; the median latency
with one in flight. The log is in memory. On a quiet machine, with the compiled form.
"""

import socket
import statistics
import sys
import tempfile
import time
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from curve_support import ALPHA, SERVER, client_text, secured_config, secured_site
from daemon_support import Site, config_text
from guard.config.clients import ClientTerms
from guard.protocol.request_reader import RequestReader
from guard.server.commands import GREETING_BYTES, greeting, ready
from guard.server.curve_peer import CurvePeer
from guard.server.permits import Permit
from guard.server.sealing import CONTENT_AT, Sealer
from protocol_client import order

SATURATED_ORDERS = 60_000
ALONE_ORDERS = 3_000
IN_FLIGHT = 512
DESKS = {"desk-alpha": ("90000000000.00", "none"), "desk-beta": ("500000.00", "none")}


class Peer:
    """One connection to a daemon."""

    def __init__(self, endpoint: str, is_secured: bool) -> None:
        host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
        self.socket = socket.create_connection((host, int(port)))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = bytearray()
        self.at = 0
        self.sealer: Sealer | None = None
        self.socket.sendall(greeting(b"CURVE" if is_secured else b"NULL"))
        self._want(GREETING_BYTES)
        self.at = GREETING_BYTES
        if is_secured:
            peer = CurvePeer(SERVER.public, ALPHA.secret)
            self.socket.sendall(peer.hello())
            peer.welcomed(self.frame()[8:])
            self.socket.sendall(peer.initiate())
            self.sealer = peer.ready(self.frame()[6:])
        else:
            self.socket.sendall(ready(b"DEALER"))
            self.frame()

    def _want(self, count: int) -> None:
        while len(self.received) - self.at < count:
            part = self.socket.recv(262_144)
            assert part, "the daemon has closed"
            self.received += part

    def frame(self) -> bytes:
        """The next frame as it stands on the wire."""
        self._want(2)
        head = 9 if self.received[self.at] & 2 else 2
        self._want(head)
        size = int.from_bytes(self.received[self.at + 1 : self.at + head], "big")
        self._want(head + size)
        begin = self.at + head
        self.at = begin + size
        body = bytes(self.received[begin : self.at])
        if self.at > 1_000_000:
            del self.received[: self.at]
            self.at = 0
        return body

    def sent_form(self, body: bytes) -> bytes:
        """A message's bytes."""
        if self.sealer is not None:
            return self.sealer.seal(0, body)
        size = len(body)
        return (bytes((0, size)) if size < 256 else b"\x02" + size.to_bytes(8, "big")) + body

    def reply(self) -> bytes:
        """The next reply's body; opened, where it is sealed."""
        body = self.frame()
        if self.sealer is None:
            return body
        place = bytearray(body)
        assert self.sealer.open(place, 0, len(place)) > 0
        return bytes(place[CONTENT_AT + 1 :])


def bodies(prefix: str, count: int) -> list[bytes]:
    encode = msgspec.msgpack.encode
    return [encode(order(f"{prefix}-{number}", quantity=1)) for number in range(count)]


def cpu_ns(process_id: int) -> int:
    total = 0
    for task in Path(f"/proc/{process_id}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total


def round_of(site: Site, is_secured: bool, name: str) -> tuple[float, float, float]:
    """(Orders a second, µs of the daemon's an order, µs with one in flight)."""
    with site.running() as daemon:
        peer = Peer(daemon.endpoint, is_secured)
        asked = bodies(name, SATURATED_ORDERS)
        before_ns, started_ns = cpu_ns(daemon.pid), time.perf_counter_ns()
        sent = 0
        for got in range(SATURATED_ORDERS):
            if sent == got or (sent - got <= IN_FLIGHT // 2 and sent < SATURATED_ORDERS):
                upto = min(got + IN_FLIGHT, SATURATED_ORDERS)
                peer.socket.sendall(b"".join(map(peer.sent_form, asked[sent:upto])))
                sent = upto
            peer.reply()
        spent_ns = time.perf_counter_ns() - started_ns
        used_ns = cpu_ns(daemon.pid) - before_ns
        latencies = []
        for body in bodies(f"{name}-alone", ALONE_ORDERS):
            message = peer.sent_form(body)
            begun_ns = time.perf_counter_ns()
            peer.socket.sendall(message)
            frame = peer.frame()
            latencies.append(time.perf_counter_ns() - begun_ns)
            if peer.sealer is not None:
                place = bytearray(frame)
                assert peer.sealer.open(place, 0, len(place)) > 0
        daemon.stop()
    return (
        SATURATED_ORDERS * 1e9 / spent_ns,
        used_ns / SATURATED_ORDERS / 1e3,
        statistics.median(latencies) / 1e3,
    )


def permit_ns() -> float:
    """Processor time of a permit's check of an order, both calls from Python included."""
    may = frozenset({"orders", "facts", "status"})
    none = frozenset[str]()
    permit = Permit(ClientTerms("a", "a", None, 1, frozenset({"desk-alpha"}), may, none, 10**7))
    reader = RequestReader("local")
    reader.read(bodies("p", 1)[0], 1, "USD")
    request = reader.requests[0]
    request.received_at_ns = time.time_ns()
    count, best = 200_000, 1e9
    for _ in range(5):
        started_ns = time.process_time_ns()
        for _ in range(count):
            permit.refusal(request)
            request.put_client(permit.client)
        best = min(best, (time.process_time_ns() - started_ns) / count)
    return best


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    print(f"a permit's check and the client's name, by calls from Python: {permit_ns():.0f} ns")
    every = client_text("a", ALPHA, 'desks = ["desk-alpha"]', 'may = ["orders"]')
    found: dict[bool, list[tuple[float, float, float]]] = {False: [], True: []}
    for number in range(rounds):
        for is_secured in (False, True):
            with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
                text = (
                    secured_config(every, desks=DESKS) if is_secured else config_text(desks=DESKS)
                )
                site = secured_site(Site(Path(directory), text))
                measured = round_of(site, is_secured, f"r{number}")
            found[is_secured].append(measured)
            name = "CURVE" if is_secured else "none "
            print(
                f"{name}: {measured[0]:8,.0f}/s  {measured[1]:6.2f} µs  {measured[2]:6.1f} µs alone"
            )
    off, on = (
        [statistics.median(each[place] for each in found[key]) for place in range(3)]
        for key in (False, True)
    )
    print(
        f"medians: {on[0] / off[0]:.0%} of the orders a second, {on[1] - off[1]:+.2f} µs of the "
        f"daemon's an order ({off[1] / on[1]:.0%}), {on[2] - off[2]:+.1f} µs with one in flight"
    )


if __name__ == "__main__":
    main()
