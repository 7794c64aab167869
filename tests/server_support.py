"""What tests of the door share: a listener under small bounds, a peer that is a plain socket."""

from typing import Any

from guard.server.listener import Listener
from guard.server.policy import Policy
from guard.server.zmtp import Limits

LIMITS = Limits(262_144, 4_194_304, 4_096)


def open_listener(
    endpoint: str = "tcp://127.0.0.1:*", limits: Limits = LIMITS, **options: Any
) -> Listener:
    """Bound. `options`: of the policy where it has them, else of the listener."""
    policy = {name: options.pop(name) for name in list(options) if name in Policy.__slots__}
    policy.setdefault("connections_max", 256)
    return Listener([endpoint], Policy(limits, **policy), **options)
