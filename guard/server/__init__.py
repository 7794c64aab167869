"""The front door: ZeroMQ's wire, served by the event loop itself.

Owns listening sockets, the connections accepted on them, and what a peer may make us hold. What a
message says is bytes here. `zmtp` is the protocol without sockets, `connection` one peer's bytes in
and out, `listener` all peers of an endpoint in rotation. Which form of the compiled modules runs is
chosen first.
"""

from guard.server.build_form import SERVER_FORM as SERVER_FORM
