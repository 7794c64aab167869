"""Who the configured clients are, and which of them a connection is.

Owns the table from keys, and users of this machine, to permits. A connection is whom its handshake
has proven, or, without one, whom the kernel names at the other end of a unix socket. Whoever is
neither may do nothing.

How it fails: it does not.
"""

from collections.abc import Iterable

from guard.config.clients import ClientTerms
from guard.server.connection import Connection
from guard.server.permits import NOBODY, Permit


class Clients:
    """The clients of one daemon. All calls belong to the loop's thread."""

    def __init__(self, terms: Iterable[ClientTerms]) -> None:
        self._by_key: dict[bytes, Permit] = {}
        self._by_user: dict[int, Permit] = {}
        for each in terms:
            permit = Permit(each)
            if each.public_key is not None:
                self._by_key[each.public_key] = permit
            else:
                assert each.user is not None
                self._by_user[each.user] = permit
        self._probe_key: bytes | None = None

    def trades(self, key: bytes) -> bool:
        """Is this the key of one who may connect to the orders' endpoint?"""
        permit = self._by_key.get(key)
        return (permit is not None and not permit.roles) or key == self._probe_key

    def operates(self, key: bytes) -> bool:
        """Is this the key of one who may connect to the admin endpoint?"""
        permit = self._by_key.get(key)
        return (permit is not None and bool(permit.roles)) or key == self._probe_key

    def has_operators(self) -> bool:
        """Has any of them a role?"""
        return any(permit.roles for permit in [*self._by_key.values(), *self._by_user.values()])

    def bind(self, peer: Connection) -> None:
        """Gives a connection its permit."""
        permit = None
        if peer.key is not None:
            permit = self._by_key.get(peer.key)
        elif peer.credentials is not None:
            permit = self._by_user.get(peer.credentials.user_id)
        peer.permit = NOBODY if permit is None else permit

    def admit_probe(self, key: bytes | None) -> None:
        """Lets a key of our own in, which may do nothing, while a door is proven; None: no more."""
        self._probe_key = key
