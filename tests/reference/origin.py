"""Where a request came from, as the reference engine takes it: the common head of every event."""

from msgspec import Struct

from guard.protocol.ranges import Client


class Origin(Struct, frozen=True, gc=False):
    """When a request was received, from whom, and where its batch begins."""

    received_at_ns: int
    client: Client
    batch_first_sequence: int
