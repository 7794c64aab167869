"""The file's `[clients.NAME]`: who may send what, for which desks. Pure.

Owns the shape of these sections and their checks, and the names of the grants. A client is known by
the public key of its CURVE connection or, on a unix socket without CURVE, by its user's number: by
nothing that it says itself. What a grant lets through, `guard.server.permits` holds to.

How it fails: ValueError, which names the place, the value and what is allowed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from guard.config.endpoint import IPC_PREFIX
from guard.config.z85 import key_from
from guard.protocol.fields import KINDS
from guard.protocol.instruments import NAME_PATTERN
from guard.protocol.ranges import LOCAL_CLIENT

ALL_DESKS: Final = "all"
CLIENTS_MAX: Final = 10_000  # each has a row in memory, and each key is looked up in one table
ORDERS_PER_S_MAX: Final = 10_000_000
IN_FLIGHT_MAX: Final = 1_000_000
SILENCE_S_MAX: Final = 86_400
USER_MAX: Final = 2**32 - 2
# Which grant each type of request needs; None: whoever is connected may ask. A type that does not
# stand here needs a grant of its own name.
GRANT_OF: Final[dict[str, str | None]] = {
    "order": "orders",
    "fill": "facts",
    "cancel": "facts",
    "reduce": "facts",
    "cancel_all": "facts",
    "mark": "marks",
    "status": "status",
    "limits": "status",
    "positions": "status",
    "execution": "executions",
    "replace": "orders",
    "replaced": "facts",
    "replace_rejected": "facts",
    "stats": "stats",
    "ping": None,
    "hello": None,
}
# (To read a drop copy of the log is one grant, to report what one says another.)
# Beside the requests of the orders' endpoint: what is sent out.
DROP_COPY: Final = "drop_copy"
GRANTS: Final = frozenset(
    grant for kind in KINDS if (grant := GRANT_OF.get(kind, kind)) is not None
) | {DROP_COPY, "marks"}
# Of the admin endpoint: `view` asks, `operate` acts, `approve` is a second person.
Role = Literal["view", "operate", "approve"]


class ClientSection(Struct, forbid_unknown_fields=True, frozen=True):
    """One client. `user`: its user's number on this machine, instead of a key.

    `orders_per_s`: how many orders are taken of it in a second; left out: as many as come.
    `in_flight_max`: how many of its orders may wait for the disk at once.
    `halt_on_silence_s`: where it has sent no `ping` for so long its desks but reduce positions.
    """

    public_key: str | None = None
    user: Annotated[int, Meta(ge=0, le=USER_MAX)] | None = None
    person: str | None = None
    desks: list[str] | Literal["all"] = []
    may: list[str] = []
    roles: list[Role] = []
    orders_per_s: Annotated[int, Meta(ge=1, le=ORDERS_PER_S_MAX)] | None = None
    in_flight_max: Annotated[int, Meta(ge=1, le=IN_FLIGHT_MAX)] | None = None
    halt_on_silence_s: Annotated[int, Meta(ge=2, le=SILENCE_S_MAX)] | None = None


@dataclass(frozen=True, slots=True)
class ClientTerms:
    """A checked client. `desks`: None for all; `person`: who or what stands behind the key."""

    name: str
    person: str
    public_key: bytes | None
    user: int | None
    desks: frozenset[str] | None
    may: frozenset[str]
    roles: frozenset[str] = frozenset()
    orders_per_s: int | None = None
    in_flight_max: int | None = None
    halt_on_silence_s: int | None = None


def clients_of(
    sections: Mapping[str, ClientSection] | None,
    desks: Mapping[str, object],
    orders: str,
    *,
    has_curve: bool,
) -> tuple[ClientTerms, ...] | None:
    """The clients of a file; None where it names none. Raises ValueError."""
    if sections:
        problem = clients_problem(orders, has_curve or None)
        if problem is not None:
            raise ValueError(problem)
        return client_terms(sections, desks, has_curve=has_curve)
    if has_curve:
        raise ValueError(
            "clients: is missing: with endpoints.curve_secret_key_file only keys that are named in "
            "[clients.NAME] are let in"
        )
    return None


def clients_problem(orders: str, curve_secret_key_file: object) -> str | None:
    """Why nobody could say who a client is; None where somebody can."""
    if curve_secret_key_file is not None or orders.startswith(IPC_PREFIX):
        return None
    return (
        "clients: allowed with endpoints.curve_secret_key_file, or where endpoints.orders is "
        f"ipc://PATH; it is {orders!r}, where nothing says who a client is"
    )


def client_terms(
    sections: Mapping[str, ClientSection], desks: Mapping[str, object], *, has_curve: bool
) -> tuple[ClientTerms, ...]:
    """The clients, in the file's order. `desks`: those that are configured. Raises ValueError."""
    if len(sections) > CLIENTS_MAX:
        raise ValueError(f"clients: {len(sections)} of them; allowed: at most {CLIENTS_MAX}")
    known: dict[bytes | int, str] = {}
    found = []
    for name, section in sections.items():
        try:
            terms = _terms(name, section, desks, has_curve)
            identity = terms.user if terms.public_key is None else terms.public_key
            assert identity is not None
            if identity in known:
                what = "user" if terms.public_key is None else "public_key"
                raise ValueError(f"{what}: is that of client {known[identity]!r}; allowed: another")
        except ValueError as error:
            raise ValueError(f"clients.{name}.{error}") from error
        known[identity] = name
        found.append(terms)
    return tuple(found)


def _terms(
    name: str, section: ClientSection, desks: Mapping[str, object], has_curve: bool
) -> ClientTerms:
    if not NAME_PATTERN.fullmatch(name) or name == LOCAL_CLIENT:
        raise ValueError(
            f"name: {name!r} is not allowed; allowed: 1 to 32 characters of A-Z a-z 0-9 ._:/-, "
            f"but {LOCAL_CLIENT!r}"
        )
    person = name if section.person is None else section.person
    if not 0 < len(person) <= 64 or not person.isprintable():
        raise ValueError(f"person: {person!r} is not allowed; allowed: 1 to 64 printed characters")
    for grant in section.may:
        if grant not in GRANTS:
            raise ValueError(f"may: {grant!r} is not allowed; allowed: {', '.join(sorted(GRANTS))}")
    if section.roles and (section.may or section.desks):
        raise ValueError(
            "roles: allowed only of a client without `may` and `desks`: a key that "
            "trades does not operate"
        )
    if section.halt_on_silence_s is not None and not section.desks:
        raise ValueError(
            f"halt_on_silence_s: {section.halt_on_silence_s} is not allowed; allowed: of a client "
            "with `desks`, which it stops"
        )
    granted = None
    if not isinstance(section.desks, str):
        granted = frozenset(section.desks)
        for desk in section.desks:
            if desk not in desks:
                allowed = ", ".join(sorted(desks)[:10]) or "none is configured"
                raise ValueError(f'desks: {desk!r} is no desk; allowed: {allowed}, or "all"')
    return ClientTerms(
        name,
        person,
        _key_of(section, has_curve),
        section.user,
        granted,
        frozenset(section.may),
        frozenset(section.roles),
        section.orders_per_s,
        section.in_flight_max,
        section.halt_on_silence_s,
    )


def _key_of(section: ClientSection, has_curve: bool) -> bytes | None:
    if (section.public_key is None) == (section.user is None):
        raise ValueError("public_key: give it, or `user`, and not both")
    if section.public_key is None:
        if has_curve:
            raise ValueError(
                f"user: {section.user} is not allowed with endpoints.curve_secret_key_file; "
                "allowed: public_key"
            )
        return None
    if not has_curve:
        raise ValueError(
            f"public_key: {section.public_key!r} is not allowed without "
            "endpoints.curve_secret_key_file; allowed: with it, or `user`"
        )
    try:
        key = key_from(section.public_key)
    except ValueError as error:
        raise ValueError(f"public_key: {section.public_key!r} is not allowed; {error}") from error
    return key
