"""Who the configured clients are, and which of them a connection is.

Owns the table from keys, and users of this machine, to permits. A connection is whom its handshake
has proven, or, without one, whom the kernel names at the other end of a unix socket. Whoever is
neither may do nothing. A key that is taken out of the table has its connections ended at once.

How it fails: it does not.
"""

from collections.abc import Iterable, Iterator

from guard.config.clients import DROP_COPY, ClientTerms
from guard.server.connection import Connection
from guard.server.listener import Listener
from guard.server.permits import NOBODY, Permit


class Clients:
    """The clients of one daemon. All calls belong to the loop's thread."""

    def __init__(self, terms: Iterable[ClientTerms]) -> None:
        self._permits: dict[bytes | int, Permit] = {}  # by key, or by user
        self._doors: list[Listener] = []
        self._probe_key: bytes | None = None
        self._take(terms)

    @classmethod
    def of(cls, terms: tuple[ClientTerms, ...] | None) -> "Clients | None":
        """Those of a configuration; None where it names none."""
        return None if terms is None else cls(terms)

    def _take(self, terms: Iterable[ClientTerms]) -> None:
        known = {permit.terms: permit for permit in self._permits.values()}
        self._permits = {}
        for each in terms:
            identity = each.user if each.public_key is None else each.public_key
            assert identity is not None
            # Who is as before goes on being counted.
            self._permits[identity] = known.get(each) or Permit(each)

    def trades(self, key: bytes) -> bool:
        """Is this the key of one who may connect to the orders' endpoint?"""
        permit = self._permits.get(key)
        return (permit is not None and not permit.roles) or key == self._probe_key

    def operates(self, key: bytes) -> bool:
        """Is this the key of one who may connect to the admin endpoint?"""
        permit = self._permits.get(key)
        return (permit is not None and bool(permit.roles)) or key == self._probe_key

    def subscribes(self, key: bytes) -> bool:
        """Is this the key of one who may connect to the feed?"""
        permit = self._permits.get(key)
        return (permit is not None and DROP_COPY in permit.may) or key == self._probe_key

    def has_operators(self) -> bool:
        """Has any of them a role?"""
        return any(permit.roles for permit in self._permits.values())

    def bound_to_silence(self) -> list[Permit]:
        """Those that have to show signs of life."""
        return [each for each in self._permits.values() if each.terms.halt_on_silence_s]

    def bind(self, peer: Connection) -> None:
        """Gives a connection its permit."""
        peer.permit = self._permit_of(peer) or NOBODY

    def _permit_of(self, peer: Connection) -> Permit | None:
        if peer.key is not None:
            return self._permits.get(peer.key)
        if peer.credentials is not None:
            return self._permits.get(peer.credentials.user_id)
        return None

    def admit_probe(self, key: bytes | None) -> None:
        """Lets a key of our own in, which may do nothing, while a door is proven; None: no more."""
        self._probe_key = key

    def watch(self, door: Listener) -> None:
        """The connections of this door, too, end when their client is revoked."""
        self._doors.append(door)

    def replace(self, terms: Iterable[ClientTerms]) -> list[str]:
        """From now on these; what has changed, in words. Who is not there any more is out."""
        before = {permit.name: permit for permit in self._permits.values()}
        self._take(terms)
        after = {permit.name: permit for permit in self._permits.values()}
        for door in self._doors:
            for peer in door.peers():
                if peer.is_ready:
                    was = peer.permit
                    peer.permit = self._permit_of(peer) or NOBODY
                    if peer.permit is NOBODY and was is not NOBODY:
                        door.end(peer, "revoked")
        return [*_changes(before, after)]


def _changes(before: dict[str, Permit], after: dict[str, Permit]) -> Iterator[str]:
    for name in sorted(before.keys() | after.keys()):
        was, is_now = before.get(name), after.get(name)
        if was is None:
            yield f"client {name!r} is added"
        elif is_now is None:
            yield f"client {name!r} is revoked"
        elif was is not is_now:
            key_changed = was.terms.public_key != is_now.terms.public_key
            yield f"client {name!r} has another {'key' if key_changed else 'grant'}"
