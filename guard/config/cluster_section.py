"""The configuration's `[cluster]`: PostgreSQL beside the local log, and what is demanded of it.

Owns that section alone; `guard.config.file` reads it. `guard/CLUSTER.md` says what each key is for.
How it fails: what is wrong comes back in words that name the key.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct, structs

from guard.config.endpoint import endpoint_problem
from guard.config.log_section import LogSection
from guard.config.standby_names import standby_names_problem
from guard.protocol.instruments import NAME_PATTERN

POSTGRES_PORT: Final = 5432
HOSTS_MAX: Final = 16
NAMES_MAX: Final = 64
LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")

Milliseconds = Annotated[int, Meta(ge=100, le=600_000)]


class ClusterSection(Struct, forbid_unknown_fields=True, frozen=True):
    """Where the cluster is, which log this is there, and when an answer may leave.

    `hosts`: `NAME:PORT`, or the directory of a unix socket (`/run/postgresql`, `/run/pg:5433`).
    `standby_names`: the texts that `synchronous_standby_names` may have, one of which it must.
    `durability`: see `guard/CLUSTER.md`. `takeover`: when a standby takes over. `serves_at`: where
    clients reach this guard, which standbys tell them; empty for nowhere.
    """

    hosts: list[str]
    log: str
    standby_names: list[str]
    database: str = "pretrade_guard"
    user: str = "pretrade_guard"
    password_file: str | None = None
    tls_root_file: str | None = None
    tls_certificate_file: str | None = None
    tls_key_file: str | None = None
    durability: Literal["both", "cluster", "follow"] = "both"
    synchronous_commit: Literal["on", "remote_apply"] = "on"
    lag_bytes_max: Annotated[int, Meta(ge=65_536, le=2**30)] = 16_777_216
    beat_ms: Milliseconds = 500
    silence_ms: Milliseconds = 3_000
    unknown_after_ms: Milliseconds = 10_000
    clock_wait_ms_max: Annotated[int, Meta(ge=0, le=600_000)] = 2_000
    takeover: Literal["told", "silent"] = "told"
    serves_at: str = ""


@dataclass(frozen=True, slots=True)
class Host:
    """One of the cluster's: a name and a port, or a unix socket's directory."""

    name: str
    port: int

    @property
    def is_local(self) -> bool:
        """Is it reached without a network?"""
        return self.name.startswith("/") or self.name in LOOPBACK


def host_of(text: str) -> Host | None:
    """A host as the configuration writes it; None where it is none."""
    name, colon, port = text.rpartition(":")
    if not colon or (name.startswith("/") and not port.isdigit()):
        name, port = text, str(POSTGRES_PORT)
    name = name.removeprefix("[").removesuffix("]")
    is_port = port.isascii() and port.isdigit() and 1 <= int(port) <= 65_535
    return Host(name, int(port)) if name and is_port else None


def cluster_problem(cluster: ClusterSection, log: LogSection) -> str | None:
    """What of the section cannot be, or not beside the log's, if anything."""
    for name, least, most in (("hosts", 1, HOSTS_MAX), ("standby_names", 1, NAMES_MAX)):
        count = len(getattr(cluster, name))
        if not least <= count <= most:
            return f"cluster.{name}: {count} given; allowed: {least} to {most}"
    if not NAME_PATTERN.fullmatch(cluster.log):
        return (
            f"cluster.log: {cluster.log!r} is not allowed; allowed: 1 to 32 characters of "
            "A-Z a-z 0-9 ._:/-"
        )
    for text in cluster.standby_names:
        if (problem := standby_names_problem(text)) is not None:
            return f"cluster.standby_names: {problem}"
    return (
        _text_problem(cluster)
        or _host_problem(cluster)
        or _time_problem(cluster)
        or _log_problem(log)
    )


def _text_problem(cluster: ClusterSection) -> str | None:
    for name in ("database", "user"):
        if not getattr(cluster, name).strip() or "\0" in getattr(cluster, name):
            return f"cluster.{name}: {getattr(cluster, name)!r} is not allowed; allowed: a name"
    if cluster.serves_at and (problem := _reach_problem(cluster.serves_at)) is not None:
        return f"cluster.serves_at: {cluster.serves_at!r} is not allowed; {problem}"
    for name in ("hosts", "standby_names"):
        listed = getattr(cluster, name)
        for index, text in enumerate(listed):
            if text in listed[:index]:
                return f"cluster.{name}: {text!r} stands twice; allowed: each once"
    return None


def _reach_problem(endpoint: str) -> str | None:
    """What is allowed instead; None where a client can connect there."""
    if endpoint.startswith("tcp://*:") or endpoint.endswith((":*", ":0")):
        return "allowed: an endpoint that clients connect to, such as tcp://guard-a.example:7001"
    return endpoint_problem(endpoint)


def _host_problem(cluster: ClusterSection) -> str | None:
    for text in cluster.hosts:
        host = host_of(text)
        if host is None:
            return (
                f"cluster.hosts: {text!r} is not allowed; allowed: NAME:PORT, or the directory of "
                "a unix socket"
            )
        if not host.is_local and cluster.tls_root_file is None:
            return (
                f"cluster.hosts: {text!r} is reached over a network, and nothing says whose "
                "certificate it must show; allowed: with cluster.tls_root_file"
            )
    if (cluster.tls_certificate_file is None) != (cluster.tls_key_file is None):
        return "cluster.tls_certificate_file: allowed only together with cluster.tls_key_file"
    return None


def _time_problem(cluster: ClusterSection) -> str | None:
    if cluster.silence_ms < 3 * cluster.beat_ms:
        return (
            f"cluster.silence_ms: {cluster.silence_ms} is not allowed; allowed: three times "
            f"cluster.beat_ms ({3 * cluster.beat_ms}) or more"
        )
    return None


def _log_problem(log: LogSection) -> str | None:
    """The rows are the log's anchor, and each of them is read with the one key that it has."""
    if log.anchor_file is not None:
        return "log.anchor_file: allowed only without [cluster], whose rows are the log's anchor"
    if log.forward_secure or log.old_key_files:
        return (
            "log.forward_secure, log.old_key_files: allowed only without [cluster]: its rows are "
            "read with one key"
        )
    if log.ephemeral_key:
        return "log.ephemeral_key: allowed only without [cluster]: another host needs the key"
    return None


def placed_cluster(cluster: ClusterSection, absolute: Callable[[str], str]) -> ClusterSection:
    """The section with every relative path made absolute."""
    names = ("password_file", "tls_root_file", "tls_certificate_file", "tls_key_file")
    given = {name: getattr(cluster, name) for name in names}
    placed = {name: absolute(path) for name, path in given.items() if path is not None}
    return structs.replace(cluster, **placed)
