"""Keys given to a ZeroMQ socket, for an encrypted, authenticated connection.

Owns the options of libzmq that they are. How it fails: zmq's errors, of a libzmq without CURVE.
"""

import zmq

from guard.client.options import CurveKeys


def secure(socket: zmq.Socket[bytes], keys: CurveKeys) -> None:
    """Gives them to a socket that is not connected yet."""
    socket.set(zmq.CURVE_SERVERKEY, keys.server_public.encode("ascii"))
    socket.set(zmq.CURVE_PUBLICKEY, keys.client_public.encode("ascii"))
    socket.set(zmq.CURVE_SECRETKEY, keys.client_secret.encode("ascii"))
