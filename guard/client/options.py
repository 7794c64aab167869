"""What a client is made with, checked before anything else happens. Pure.

Owns the words of what is wrong with an option: each error names the argument, the value and what is
allowed. A host's name is not looked up: ZeroMQ does that in the background, each time it connects.
"""

import ipaddress
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from guard.client.values import InstrumentSpec

PORT_MAX = 65_535
UNIX_PATH_BYTES_MAX = 107  # sun_path's size, less its end
SECONDS_MAX = 3_600
ENDPOINTS_MAX = 16
HOST_CHARACTERS_MAX = 253
CURVE_KEY_CHARACTERS = 40

_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_-]+)*\.?")
_PORT = re.compile(r"[0-9]{1,5}")
_Z85 = re.compile(r"[0-9A-Za-z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}")
_ENDPOINT_ALLOWED = "tcp://HOST:PORT or ipc://PATH, as the guard's endpoints.orders"


@dataclass(frozen=True, slots=True)
class CurveKeys:
    """Keys for an encrypted, authenticated connection: Z85 text of 40 characters each."""

    server_public: str
    client_public: str
    client_secret: str = field(repr=False)

    def __post_init__(self) -> None:
        for name in ("server_public", "client_public", "client_secret"):
            if not _is_key(getattr(self, name)):  # which is not shown: it may be the secret one
                raise ValueError(
                    f"curve: {name} is not allowed; allowed: a key as Z85 text of "
                    f"{CURVE_KEY_CHARACTERS} characters"
                )


def _is_key(key: object) -> bool:
    return isinstance(key, str) and _Z85.fullmatch(key) is not None


def check_endpoint(endpoint: str) -> str:
    """The endpoint, if a client can connect to such a one. Raises TypeError, ValueError."""
    if not isinstance(endpoint, str):
        raise TypeError(
            f"endpoint: {endpoint!r} is a {type(endpoint).__name__}; allowed: {_ENDPOINT_ALLOWED}"
        )
    transport, separator, place = endpoint.partition("://")
    if not separator or transport not in ("tcp", "ipc"):
        raise _bad_endpoint(endpoint, _ENDPOINT_ALLOWED)
    if transport == "ipc":
        if not 0 < len(place.encode()) <= UNIX_PATH_BYTES_MAX or "\0" in place:
            raise _bad_endpoint(endpoint, f"a path of 1 to {UNIX_PATH_BYTES_MAX} bytes")
        return endpoint
    host, separator, port = place.rpartition(":")
    if not separator or not _PORT.fullmatch(port) or not 1 <= int(port) <= PORT_MAX:
        raise _bad_endpoint(endpoint, f"a port from 1 to {PORT_MAX} behind the host")
    if not _is_host(host):
        raise _bad_endpoint(
            endpoint, "a host's name, an IPv4 address such as 127.0.0.1, or an IPv6 one as [::1]"
        )
    return endpoint


def check_endpoints(endpoints: str | Sequence[str]) -> list[str]:
    """One endpoint, or the list of them, of guards of one log. Raises TypeError, ValueError."""
    if isinstance(endpoints, str):
        return [check_endpoint(endpoints)]
    allowed = f"an endpoint, or a list of 1 to {ENDPOINTS_MAX} of them, each once"
    check_kind("endpoint", endpoints, Sequence, allowed)
    checked = [check_endpoint(each) for each in endpoints]
    if not 1 <= len(checked) <= ENDPOINTS_MAX or len(set(checked)) != len(checked):
        raise ValueError(f"endpoint: {endpoints!r} is not allowed; allowed: {allowed}")
    return checked


def is_ipv6(endpoint: str) -> bool:
    """Whether a checked endpoint is an IPv6 address."""
    return endpoint.startswith("tcp://[")


def _is_host(host: str) -> bool:
    if host.startswith("[") and host.endswith("]"):
        return _is_address(host[1:-1], ipaddress.IPv6Address)
    if not re.fullmatch(r"[0-9.]+", host):
        return len(host) <= HOST_CHARACTERS_MAX and _HOST.fullmatch(host) is not None
    return _is_address(host, ipaddress.IPv4Address)


def _is_address(text: str, kind: type[ipaddress.IPv4Address] | type[ipaddress.IPv6Address]) -> bool:
    try:
        kind(text)
    except ValueError:
        return False
    return True


def _bad_endpoint(endpoint: str, allowed: str) -> ValueError:
    return ValueError(f"endpoint: {endpoint!r} is not allowed; allowed: {allowed}")


def check_seconds(name: str, value: float, *, may_be_zero: bool = False) -> float:
    """The number of seconds, if it is one that a client can wait. Raises TypeError, ValueError."""
    allowed = f"a number of seconds {'from 0' if may_be_zero else 'above 0'}, at most {SECONDS_MAX}"
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name}: {value!r} is a {type(value).__name__}; allowed: {allowed}")
    is_allowed = 0 <= value <= SECONDS_MAX and (may_be_zero or value > 0)
    if math.isnan(value) or not is_allowed:
        raise ValueError(f"{name}: {value!r} is not allowed; allowed: {allowed}")
    return value


def check_count(name: str, value: int, count_max: int) -> int:
    """The number, if it is one from 1 to `count_max`. Raises TypeError, ValueError."""
    if type(value) is not int:
        raise TypeError(
            f"{name}: {value!r} is a {type(value).__name__}; allowed: an int from 1 to {count_max}"
        )
    if not 1 <= value <= count_max:
        raise ValueError(f"{name}: {value} is not allowed; allowed: 1 to {count_max}")
    return value


def check_kind(name: str, value: object, kind: type, allowed: str) -> None:
    """TypeError for what is of another type."""
    if not isinstance(value, kind):
        raise TypeError(f"{name}: {value!r} is a {type(value).__name__}; allowed: {allowed}")


def specs_by_symbol(instruments: Iterable[InstrumentSpec]) -> dict[str, InstrumentSpec]:
    """The instruments that a client was given. Raises TypeError, ValueError."""
    allowed = "a list of InstrumentSpecs"
    check_kind("instruments", instruments, Iterable, allowed)
    specs: dict[str, InstrumentSpec] = {}
    for spec in instruments:
        if not isinstance(spec, InstrumentSpec):
            raise TypeError(
                f"instruments: {spec!r} in it is a {type(spec).__name__}; allowed: {allowed}"
            )
        if spec.symbol in specs:
            raise ValueError(f"instruments: {spec.symbol!r} stands twice; allowed: once")
        specs[spec.symbol] = spec
    return specs
