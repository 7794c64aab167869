"""The loads: what the command line asks for, and the standard ones.

Owns their names, which the report and its readers know them by.
"""

from dataclasses import dataclass, field
from typing import Final

from guard.bench.floor import DISK, DISK_OVER_ZEROS, DOORS, FLOOR_APPENDED, FLOOR_OVER_ZEROS
from guard.bench.workload import Mix
from guard.demo.flow import read_steps
from guard.protocol.wire import REQUESTS_PER_MESSAGE_MAX

CLIENTS_MAX: Final = 500
IN_FLIGHT_MAX: Final = 16_384
RATE_MAX: Final = 1_000_000
SPEED_MAX: Final = 10_000

ONE_IN_FLIGHT: Final = "1 in flight"
FIFTY_IN_FLIGHT: Final = "50 in flight"
TWO_HUNDRED_IN_FLIGHT: Final = "200 in flight"
SATURATED: Final = "saturated, 1 a message"
SATURATED_64: Final = "saturated, 64 a message"
REAL_FLOW: Final = "real flow, 100x"

_ORDERS: Final = Mix(1, 0, 0)
_DISK: Final = frozenset({DISK, DISK_OVER_ZEROS})
_BESIDE_REDIS: Final = frozenset({"redis", FLOOR_APPENDED, FLOOR_OVER_ZEROS})


@dataclass(frozen=True, slots=True)
class Load:
    """One load. Exactly one of `in_flight` (closed loop), `rate` and `flow_speed` (open) is set."""

    name: str
    clients: int
    in_flight: int | None = None
    rate: int | None = None
    flow_speed: int | None = None
    mix: Mix = field(default_factory=lambda: _ORDERS)
    per_message: int = 1
    peers: frozenset[str] = frozenset()

    def has_peer(self, name: str) -> bool:
        """Is a peer measured under this load?"""
        return name in self.peers

    def flow_duration_ns(self) -> int:
        """How long the recorded flow takes at this speed."""
        assert self.flow_speed is not None
        times_ns = [step.at_ns for step in read_steps()]
        return (times_ns[-1] - times_ns[0]) // self.flow_speed + 1


# The light ones first: what a heavy one has left to be written is not theirs.
STANDARD: Final = (
    Load(ONE_IN_FLIGHT, 1, in_flight=1, peers=frozenset({"redis", *DOORS}) | _DISK),
    Load(REAL_FLOW, 4, flow_speed=100, peers=_DISK),
    Load(FIFTY_IN_FLIGHT, 4, in_flight=50, peers=_BESIDE_REDIS),
    Load(TWO_HUNDRED_IN_FLIGHT, 4, in_flight=200, peers=_BESIDE_REDIS),
    Load(SATURATED, 4, in_flight=1_024, peers=frozenset({"redis", "wheel"})),
    Load(SATURATED_64, 4, in_flight=32, per_message=64),
    Load("saturated, mixed 80/15/5", 4, in_flight=1_024, mix=Mix(80, 15, 5)),
)


def custom_load(
    clients: int,
    in_flight: int | None,
    rate: int | None,
    flow_speed: int | None,
    mix: Mix,
    per_message: int,
) -> Load:
    """The load that the command line describes. Raises ValueError naming the option."""
    _check("--clients", clients, CLIENTS_MAX)
    _check("--orders-per-message", per_message, REQUESTS_PER_MESSAGE_MAX)
    if flow_speed is not None:
        _check("--speed", flow_speed, SPEED_MAX)
        if mix != _ORDERS or per_message != 1:
            raise ValueError("--flow real: has its own mix, of one request a message")
        return Load(f"real flow, {flow_speed}x", min(clients, 4), flow_speed=flow_speed)
    shown = "" if mix == _ORDERS else f", mixed {mix.orders}/{mix.fills}/{mix.cancels}"
    shown += "" if per_message == 1 else f", {per_message} a message"
    if rate is not None:
        _check("--rate", rate, RATE_MAX)
        if rate % per_message:
            raise ValueError(f"--rate: {rate} is no multiple of {per_message} orders a message")
        name = f"{rate} a second{shown}"
        messages = rate // per_message
        peers = frozenset({"redis"}) if mix == _ORDERS else frozenset()
        return Load(name, clients, rate=messages, mix=mix, per_message=per_message, peers=peers)
    assert in_flight is not None
    _check("--in-flight", in_flight, IN_FLIGHT_MAX)
    return Load(
        f"{in_flight} in flight{shown}",
        min(clients, in_flight),
        in_flight=in_flight,
        mix=mix,
        per_message=per_message,
        peers=frozenset({"redis", "wheel", *DOORS}) | _DISK if mix == _ORDERS else frozenset(),
    )


def _check(name: str, value: int, most: int) -> None:
    if not 1 <= value <= most:
        raise ValueError(f"{name}: {value} is not allowed; allowed: 1 to {most}")
