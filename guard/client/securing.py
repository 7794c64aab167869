"""A client's socket made ready and connected: address family, keys, how soon it tries again.

Owns the options of libzmq that every client's socket has. How it fails: zmq's errors, of an
endpoint that cannot be, or of a libzmq without CURVE.
"""

from typing import Any, Final

import zmq

from guard.client.options import CurveKeys, is_ipv6

RECONNECT_MS: Final = 50
RECONNECT_MS_MAX: Final = 1_000


def secure(socket: Any, keys: CurveKeys) -> None:
    """Gives keys to a socket that is not connected yet."""
    socket.set(zmq.CURVE_SERVERKEY, keys.server_public.encode("ascii"))
    socket.set(zmq.CURVE_PUBLICKEY, keys.client_public.encode("ascii"))
    socket.set(zmq.CURVE_SECRETKEY, keys.client_secret.encode("ascii"))


def connect(socket: Any, endpoint: str, keys: CurveKeys | None) -> None:
    """Connects a socket, with keys where the endpoint asks for them."""
    socket.set(zmq.RECONNECT_IVL, RECONNECT_MS)
    socket.set(zmq.RECONNECT_IVL_MAX, RECONNECT_MS_MAX)
    if is_ipv6(endpoint):
        socket.set(zmq.IPV6, 1)
    if keys is not None:
        secure(socket, keys)
    socket.connect(endpoint)
