"""The front door: ZeroMQ's wire, served by the event loop itself.

Owns listening sockets, the connections accepted on them, and what a peer may make us hold. What a
message says is bytes there. `zmtp` is the protocol without sockets, `connection` one peer's bytes
in and out, `listener` all peers of an endpoint in rotation. `request_path` is the way of a request
behind the door: read, decided, recorded, applied, answered.
"""
