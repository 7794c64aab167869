# cython: annotation_typing=False, nonecheck=True
"""What one client may send, looked up for every request before anything else is. Pure.

Owns a client's table: made once from its terms (`guard.config.clients`), bound to each of its
connections, the same for all of them. It knows the connection's key, or user, and nothing that a
message says of its sender; so what is refused here tells nothing of what other desks have.

How it fails: it does not; `refusal` gives the number of the error, 0 for what may be taken.
"""

from typing import Final

from guard.config.clients import GRANT_OF, ClientTerms
from guard.protocol import json_reader
from guard.protocol.fields import CANCEL_ALL, KINDS, ORDER, REPLACE
from guard.protocol.messages import REQUEST_TYPES
from guard.protocol.ranges import NANOSECONDS_PER_SECOND
from guard.protocol.reasons import ErrorCode
from guard.protocol.request import TEXTS, Request

_NOT_PERMITTED, _RATE_EXCEEDED = int(ErrorCode.NOT_PERMITTED), int(ErrorCode.RATE_EXCEEDED)
_ORDER, _REPLACE = ORDER, REPLACE
_DESK_AT: Final = TEXTS["desk"][0]
_NS_PER_S: Final = NANOSECONDS_PER_SECOND
# Those that are about a desk; a `cancel_all` without one is about all.
_OF_ALLS: Final = sum(
    1 << number
    for number, kind in enumerate(KINDS)
    if "desk" in REQUEST_TYPES[kind].__struct_fields__ or number == CANCEL_ALL
)


def is_of_desk(kind: int) -> bool:
    """Is a request of this type about a desk, and an order of it?"""
    return bool(_OF_ALLS >> kind & 1)


class Permit:
    """One client's. `client`: its name, as records have it. `desks`: None for all."""

    def __init__(self, terms: ClientTerms) -> None:
        self.terms = terms
        self.client = terms.name.encode()
        self.name = terms.name
        self.person = terms.person
        self.roles = terms.roles
        self.desks = terms.desks
        self.may = terms.may
        self.denied = self.pings = 0
        self._kinds = 0
        for number, kind in enumerate(KINDS):
            grant = GRANT_OF.get(kind, kind)
            if grant is None or grant in terms.may:
                self._kinds |= 1 << number
        self._desk_names = None if terms.desks is None else {name.encode() for name in terms.desks}
        self._last_desk = b""  # one that was let through; most clients have only one
        self._orders_per_s = terms.orders_per_s or 0
        self.in_flight_max = terms.in_flight_max or 0
        self.under_way = 0  # orders that were taken and are not answered yet, where that is bounded
        self._second = 0
        self._orders = 0

    def refusal(self, request: Request, orders: int = 1) -> int:
        """Why it is not taken: an error's number, or 0. An order that is taken is counted,
        as is a replace. `orders`: so many of that desk together, all of which are taken, or none.
        """
        kind = request.kind
        is_entry = kind in (_ORDER, _REPLACE)
        if not self._kinds >> kind & 1:
            return _NOT_PERMITTED
        if self._desk_names is not None and _OF_ALLS >> kind & 1 and not self._may_trade(request):
            return _NOT_PERMITTED
        if is_entry and self.in_flight_max and self.under_way + orders > self.in_flight_max:
            return _RATE_EXCEEDED
        if self._orders_per_s and is_entry:
            second = request.received_at_ns // _NS_PER_S
            if second != self._second:
                self._second, self._orders = second, 0
            if self._orders + orders > self._orders_per_s:
                return _RATE_EXCEEDED
            self._orders += orders
        if is_entry and self.in_flight_max:
            self.under_way += orders
        return 0

    def _may_trade(self, request: Request) -> bool:
        last = self._last_desk
        count = request.desk_bytes
        if 0 < count == len(last) and json_reader.is_same(
            request.texts, _DESK_AT, _DESK_AT + count, last, count
        ):
            return True
        desk = request.desk.encode()
        if self._desk_names is None or desk not in self._desk_names:
            return False
        self._last_desk = desk
        return True

    def grants(self, kind: int) -> bool:
        """May requests of this type be sent at all?"""
        return bool(self._kinds >> kind & 1)


def words_of_denial(permit: Permit, request: Request) -> tuple[str, str]:
    """The field to blame, and the words, for a request that is not granted."""
    kind = KINDS[request.kind]
    field = "desk" if permit.grants(request.kind) else "type"
    of_desk = f" of desk {request.desk!r}" if field == "desk" else ""
    return field, f"{field}: {kind}{of_desk} is not granted to client {permit.name!r}"


NOBODY: Final = Permit(ClientTerms("nobody", "nobody", None, None, frozenset(), frozenset()))
