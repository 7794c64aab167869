"""The recorded real flow as messages of the load generator.

Owns how the demo's recording is given to the clients: by desk, so that what concerns an order goes
the way of the order. Every recorded event is sent, also the fills and cancels of an order that the
guard refused: a schedule does not wait for answers, and a fill is a fact.
"""

from typing import Final

import msgspec

from guard.bench.frames import frame
from guard.demo.flow import DESKS, read_steps

FLOW_DESKS: Final = DESKS


class RecordedFlow:
    """The recording's times, who sends what, and each client's frames."""

    def __init__(self, session: str, links: int) -> None:
        """`session` sets the ids of one run apart from another's."""
        self.at_ns: list[int] = []
        self.links: list[int] = []
        self.frames: list[list[bytes]] = [[] for _ in range(links)]
        for step in read_steps():
            request = step.request
            request.client_order_id = f"{session}-{request.client_order_id}"
            place = FLOW_DESKS.index(request.desk) % links
            self.at_ns.append(step.at_ns)
            self.links.append(place)
            self.frames[place].append(frame(msgspec.msgpack.encode(request)))
