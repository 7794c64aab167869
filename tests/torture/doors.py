"""What each door of the guard is known to hold, and how much memory it may take.

A door is what stands between clients and the pipeline. The attacks are named in `raw_peers`; one
that a door cannot hold is listed with the reason, said at each run, and left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from raw_peers import ATTACKS

MIB = 1024 * 1024
# Beside what the door holds: the state of an order (measured: 0.3 to 0.6 KiB), its share of arenas.
BYTES_AN_ORDER = 1_024
SLACK_BYTES = 64 * MIB
# Those that are not among the others: the daemon is started under a limit of descriptors for it.
ALONE = ("crowding",)


@dataclass(frozen=True)
class Door:
    """`bytes_max`: of requests and replies under way, all clients together."""

    bytes_max: int
    connection_bytes_max: int
    cannot_hold: dict[str, str] = field(default_factory=dict)

    @property
    def attacks(self) -> list[str]:
        """Those that it is known to hold, side by side."""
        return [name for name in ATTACKS if name not in self.cannot_hold and name not in ALONE]

    def growth_bytes_max(self, connections: int, orders: int) -> int:
        """How much the daemon may grow with so many connections at once and so many orders."""
        return (
            self.bytes_max
            + connections * self.connection_bytes_max
            + orders * BYTES_AN_ORDER
            + SLACK_BYTES
        )


DOORS = {
    # guard/PROTOCOL.md, 10: 256 MiB read ahead, 256 MiB of replies; a session and its buffers.
    "libzmq": Door(
        512 * MIB,
        64 * 1024,
        {
            "crowding": "libzmq accepts whoever comes, until no descriptor is left",
            "endless": "libzmq takes a message in as a whole, and nothing counts its frames",
            "very-many-frames": "64 bytes each inside libzmq, and nobody else is read meanwhile",
            "endless-same-identity": "without handover nobody reads a second connection's requests",
        },
    ),
    # The project's own ZMTP server: holds all of them.
    "own": Door(512 * MIB, 64 * 1024),
}
DOOR = "own"  # what serves now
