"""The configuration file: TOML, decoded strictly.

Owns the shape of the file (`configs/production.toml` explains every key) and its checks. A path in
it is relative to the file's own directory, wherever the process was started. A key that it does not
know, a value of a wrong type, money or sizes that are no decimal text, a policy that the kernel
refuses: each is a `ConfigError` that names the place. Reads one file, changes nothing.

What a decision depends on (settings, policy, instruments, desks) goes into the log; the rest
(endpoints, directories, bounds of the process) does not.
"""

import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct, structs

from guard.config.accounts import AccountSection, AccountTerms, account_terms, customers_of
from guard.config.approvals import (
    ApprovalsSection,
    ApprovalTerms,
    approval_terms,
    check_people,
)
from guard.config.clients import ClientSection, ClientTerms, clients_of, clients_problem
from guard.config.cluster_section import ClusterSection, cluster_problem, placed_cluster
from guard.config.desk_money import exposure_cap, fee_minimum
from guard.config.endpoint import (
    BESIDE_LOG,
    IPC_PREFIX,
    NO_ENDPOINT,
    endpoint_problem,
    is_loopback,
)
from guard.config.errors import ConfigError
from guard.config.limits import LimitsSection, limit_tree
from guard.config.log_section import LogSection, log_problem, placed_log
from guard.config.wording import says_too_little, what_is_wrong
from guard.engine.apply_event import build_policy
from guard.engine.policy_content import PolicyContent, PolicyModel
from guard.protocol.instruments import (
    NAME_PATTERN,
    Instrument,
    define_instrument,
    parse_money_microcents,
)
from guard.protocol.limits import LimitScope
from guard.protocol.messages import U64_MAX
from guard.protocol.ranges import (
    BasisPoints,
    Currency,
    DeskName,
    LatencyMs,
    OrderAgeMs,
    ProviderId,
    RememberedOrdersMax,
    RememberedOrderWindowS,
    RiskPenaltyBps,
    Unsigned64,
    VenueId,
)
from guard.record.words import place_in, shown, value_at
from kernel import PolicyError
from wal import read_regular

CONFIG_BYTES_MAX: Final = 16 * 1024 * 1024

Mask = int | Literal["all"]
Sections = TypeVar("Sections")


class EndpointsSection(Struct, forbid_unknown_fields=True, frozen=True):
    """Where the sockets are bound, and how eagerly they are read.

    `admin`: `"beside-log"` for a unix socket beside the log's directory, `"none"` for no endpoint.
    `feed`: where the log's lines are told, `"none"` for nowhere; `feed_proofs`: pages of proofs.
    """

    orders: str
    admin: str = BESIDE_LOG
    feed: str = NO_ENDPOINT
    feed_proofs: str | None = None
    curve_secret_key_file: str | None = None
    busy_poll_us: Annotated[int, Meta(ge=0, le=10_000)] = 200


class SettingsSection(Struct, forbid_unknown_fields=True, frozen=True):
    """What decisions depend on beside policy, instruments and desks; recorded in the log."""

    currency: Currency = "USD"
    remembered_orders_max: RememberedOrdersMax = 1_000_000
    remembered_order_window_s: RememberedOrderWindowS = 86_400
    refuse_unknown_venues: bool = False


class VenueSection(Struct, forbid_unknown_fields=True, frozen=True):
    """A venue: one model of the kernel's catalogue."""

    venue: VenueId
    provider: ProviderId
    quality_bps: BasisPoints
    risk_ceiling_bps: BasisPoints
    p95_latency_ms: LatencyMs
    fee_microcents_per_million_lots: Unsigned64
    fee_microcents_per_order: Unsigned64
    capabilities: Mask = 0
    regions: Mask = "all"
    enabled: bool = True


class PolicySection(Struct, forbid_unknown_fields=True, frozen=True):
    """The policy: its epochs, its hard limits, its weights and its venues."""

    policy_epoch: Unsigned64
    catalog_epoch: Unsigned64
    hard_risk_limit_bps: BasisPoints
    minimum_confidence_bps: BasisPoints
    risk_penalty_multiplier_bps: RiskPenaltyBps
    latency_penalty_microcents_per_ms: Unsigned64
    venues: list[VenueSection]


class InstrumentSection(Struct, forbid_unknown_fields=True, frozen=True):
    """A symbol and its sizes, as decimal text."""

    symbol: str
    tick_size: str
    lot_size: str
    multiplier: str = "1"


class DeskSection(Struct, forbid_unknown_fields=True, frozen=True):
    """A desk, its budget, and the cap of its open holds (`"none"` for no cap), as decimal text.

    `max_order_age_ms`: of its orders, by their own stamp; left out: any age.
    `fee_bound_bps`, `fee_minimum`: the fee that a fill is charged up to. Without the first: any.
    """

    desk: str
    budget: str
    exposure_cap: str
    max_order_age_ms: OrderAgeMs | None = None
    fee_bound_bps: BasisPoints | None = None
    fee_minimum: str | None = None


class CloseSection(Struct, forbid_unknown_fields=True, frozen=True):
    """What the close of a day does. `release_day_orders`: open `day` orders end with it."""

    release_day_orders: bool = False


NOTHING_RELEASED: Final = CloseSection()


class _File(Struct, forbid_unknown_fields=True, frozen=True):
    endpoints: EndpointsSection
    log: LogSection
    policy: PolicySection
    instruments: list[InstrumentSection]
    desks: list[DeskSection]
    settings: SettingsSection = SettingsSection()
    limits: LimitsSection | None = None
    clients: dict[str, ClientSection] | None = None
    close: CloseSection = NOTHING_RELEASED
    approvals: ApprovalsSection | None = None
    cluster: ClusterSection | None = None
    accounts: dict[DeskName, AccountSection] = {}


@dataclass(frozen=True, slots=True)
class DeskTerms:
    """A desk's terms, in microcents; no cap when `max_reserved_microcents` is None.

    `max_order_age_ms`: None for any age.
    `fee_bound_bps`: None where any fee is charged.
    """

    desk: str
    budget_microcents: int
    max_reserved_microcents: int | None
    max_order_age_ms: int | None = None
    fee_bound_bps: int | None = None
    fee_minimum_microcents: int = 0


@dataclass(frozen=True, slots=True)
class Config:
    """A checked configuration. `written_directory`: the log's, as the file says it.

    `limits`: the normalized tree; empty where there is no such section.
    `clients`: None where the file names none, and whoever reaches the orders' endpoint may trade.
    """

    endpoints: EndpointsSection
    log: LogSection
    settings: SettingsSection
    policy: PolicyContent
    policy_digest_hex: str
    instruments: dict[str, Instrument]
    desks: dict[str, DeskTerms]
    written_directory: str = ""
    limits: list[LimitScope] = field(default_factory=list)
    clients: tuple[ClientTerms, ...] | None = None
    close: CloseSection = NOTHING_RELEASED
    approvals: ApprovalTerms | None = None
    cluster: ClusterSection | None = None
    accounts: dict[str, AccountTerms] = field(default_factory=dict)


def load_config(path: Path, *, takes_streams: bool = False) -> Config:
    """Reads and checks a configuration file, whose paths are relative to its directory.

    `takes_streams`: also what another command writes, for who only checks it. Raises ConfigError.
    """
    try:
        text = read_text(path, takes_streams=takes_streams)
        return _placed(parse_config(text), path.absolute().parent)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def read_text(path: Path, *, takes_streams: bool = False) -> str:
    """The text of a file. Raises ConfigError, without the path."""
    try:
        text = read_regular(path, CONFIG_BYTES_MAX, follows_links=True, takes_streams=takes_streams)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}") from error
    if len(text) > CONFIG_BYTES_MAX:
        raise ConfigError(f"at least {len(text)} bytes; allowed: at most {CONFIG_BYTES_MAX}")
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(str(error)) from error


def _placed(config: Config, directory: Path) -> Config:
    """The configuration with every path that is relative taken from `directory` on."""

    def absolute(path: str) -> str:
        return str(directory / path)

    log, endpoints, cluster = config.log, config.endpoints, config.cluster
    return replace(
        config,
        log=placed_log(log, absolute),
        endpoints=structs.replace(
            endpoints,
            orders=_placed_endpoint(endpoints.orders, absolute),
            admin=_placed_endpoint(endpoints.admin, absolute),
            feed=_placed_endpoint(endpoints.feed, absolute),
            feed_proofs=_placed_path(endpoints.feed_proofs, absolute),
            curve_secret_key_file=_placed_path(endpoints.curve_secret_key_file, absolute),
        ),
        written_directory=log.directory,
        cluster=None if cluster is None else placed_cluster(cluster, absolute),
    )


def _placed_path(path: str | None, absolute: Callable[[str], str]) -> str | None:
    return None if path is None else absolute(path)


def _placed_endpoint(endpoint: str, absolute: Callable[[str], str]) -> str:
    path = endpoint.removeprefix(IPC_PREFIX)
    # The name of an abstract socket begins with @ and is no path.
    if path == endpoint or path.startswith("@"):
        return endpoint
    placed = IPC_PREFIX + absolute(path)
    problem = endpoint_problem(placed)
    if problem is not None:
        raise ConfigError(f"endpoints.orders: {placed!r} is not allowed; {problem}")
    return placed


def parse_config(text: str) -> Config:
    """Checks the text of a configuration file. Raises ConfigError naming the place."""
    file = read_sections(text, _File)
    has_roles = any(client.roles for client in (file.clients or {}).values())
    _check_endpoint(file.endpoints, has_roles=has_roles)
    problem = log_problem(file.log)
    if problem is None and file.cluster is not None:
        problem = cluster_problem(file.cluster, file.log)
    if problem is not None:
        raise ConfigError(problem)
    policy = policy_content(file.policy)
    try:
        digest_hex = build_policy(policy).digest.hex()
    except PolicyError as error:
        raise ConfigError(f"policy: {error}") from error
    instruments = _instruments(file.instruments)
    desks = desk_terms(file.desks)
    has_curve = file.endpoints.curve_secret_key_file is not None
    try:
        accounts = account_terms(file.accounts, desks)
        clients = clients_of(file.clients, desks, file.endpoints.orders, has_curve=has_curve)
        approvals = None
        if file.approvals is not None:
            check_people(clients, file.endpoints.admin)
            approvals = approval_terms(file.approvals, desks, instruments, customers_of(accounts))
    except ValueError as error:
        raise ConfigError(str(error)) from error
    return Config(
        file.endpoints,
        file.log,
        file.settings,
        policy,
        digest_hex,
        instruments,
        desks,
        limits=_limits(
            file.limits, desks, instruments, {model.model_id for model in policy.models}, accounts
        ),
        clients=clients,
        close=file.close,
        approvals=approvals,
        cluster=file.cluster,
        accounts=accounts,
    )


def read_sections(text: str, kind: type[Sections]) -> Sections:
    """The sections of a file's text. Raises ConfigError naming the place, and what stands there."""
    table: dict[str, Any] = {}
    try:
        table = tomllib.loads(text)
        return msgspec.convert(table, kind)
    except (ValueError, RecursionError) as error:  # an integer of 5,000 digits is a ValueError
        raise ConfigError(_worded(str(error), table, kind)) from error


def _worded(said: str, table: dict[str, Any], kind: type[Sections]) -> str:
    """What msgspec says of a place, and what stands there; or better words, where it says less."""
    if says_too_little(said) and (words := what_is_wrong(table, kind)):
        return words
    try:
        value = value_at(table, place_in(said))
    except (LookupError, TypeError):  # a key that is not there
        return said
    if isinstance(value, dict | list):
        return said
    words, at, place = said.rpartition(" - at ")
    return f"{words}, not {shown(value)}{at}{place}"


def _limits(
    section: LimitsSection | None,
    desks: dict[str, DeskTerms],
    instruments: dict[str, Instrument],
    venues: set[int],
    accounts: dict[str, AccountTerms],
) -> list[LimitScope]:
    if section is None:
        return []
    try:
        return limit_tree(section, desks, instruments, venues, customers_of(accounts))
    except ValueError as error:
        raise ConfigError(str(error)) from error


def check_orders_endpoint(
    endpoint: str, configured: EndpointsSection, *, has_clients: bool = False
) -> None:
    """Checks an endpoint given by hand as if it stood in the file. Raises ConfigError."""
    endpoints = structs.replace(configured, orders=endpoint)
    _check_endpoint(endpoints, has_roles=True)  # its admin endpoint was checked with the file
    if has_clients and (problem := clients_problem(endpoint, endpoints.curve_secret_key_file)):
        raise ConfigError(problem)


def _check_endpoint(endpoints: EndpointsSection, *, has_roles: bool) -> None:
    has_curve = endpoints.curve_secret_key_file is not None
    _check_beside("admin", endpoints.admin, (BESIDE_LOG, NO_ENDPOINT), has_curve and has_roles)
    _check_beside("feed", endpoints.feed, (NO_ENDPOINT,), has_curve)
    endpoint = endpoints.orders
    problem = endpoint_problem(endpoint)
    if problem is not None:
        raise ConfigError(f"endpoints.orders: {endpoint!r} is not allowed; {problem}")
    if is_loopback(endpoint) or has_curve:
        return
    raise ConfigError(
        f"endpoints.orders: {endpoint!r} can be reached from the network, and clients are not "
        "authenticated; allowed: any with endpoints.curve_secret_key_file, and a loopback or "
        "ipc:// endpoint without"
    )


def _check_beside(name: str, endpoint: str, words: tuple[str, ...], asks_for_keys: bool) -> None:
    """One of the words, or an endpoint that others reach with a key alone. Raises ConfigError."""
    if endpoint in words:
        return
    problem = endpoint_problem(endpoint)
    if problem is None and not (is_loopback(endpoint) or asks_for_keys):
        problem = (
            "it can be reached from the network, and asks for no keys (PROTOCOL 13); allowed: "
            "ipc://PATH, a loopback tcp://"
        )
    if problem is not None:
        allowed = ", ".join(f'"{word}"' for word in words)
        raise ConfigError(f"endpoints.{name}: {endpoint!r} is not allowed; {problem}, {allowed}")


def _mask(value: Mask, place: str) -> int:
    if value == "all":
        return U64_MAX
    if not isinstance(value, int) or not 0 <= value <= U64_MAX:
        raise ConfigError(f'{place}: {value!r} is not allowed; allowed: "all" or 0 to 2^64-1')
    return value


def _u64(value: int, place: str) -> int:
    if value > U64_MAX:
        raise ConfigError(f"{place}: {value} is not allowed; allowed: 0 to 2^64-1")
    return value


def policy_content(section: PolicySection) -> PolicyContent:
    """The policy of a section, as the log records it. Raises ConfigError naming the place."""
    models: dict[int, PolicyModel] = {}
    for venue in section.venues:
        if venue.venue in models:
            raise ConfigError(f"policy.venues: venue {venue.venue} stands twice")
        models[venue.venue] = _policy_model(venue)
    penalty = section.latency_penalty_microcents_per_ms
    return PolicyContent(
        _u64(section.policy_epoch, "policy.policy_epoch"),
        _u64(section.catalog_epoch, "policy.catalog_epoch"),
        section.hard_risk_limit_bps,
        section.minimum_confidence_bps,
        section.risk_penalty_multiplier_bps,
        _u64(penalty, "policy.latency_penalty_microcents_per_ms"),
        [models[venue] for venue in sorted(models)],
    )


def _policy_model(venue: VenueSection) -> PolicyModel:
    place = f"policy.venues[{venue.venue}]"
    lots_fee, order_fee = venue.fee_microcents_per_million_lots, venue.fee_microcents_per_order
    return PolicyModel(
        venue.venue,
        venue.provider,
        venue.quality_bps,
        venue.risk_ceiling_bps,
        int(venue.enabled),
        venue.p95_latency_ms,
        _mask(venue.capabilities, f"{place}.capabilities"),
        _mask(venue.regions, f"{place}.regions"),
        _u64(lots_fee, f"{place}.fee_microcents_per_million_lots"),
        _u64(order_fee, f"{place}.fee_microcents_per_order"),
    )


def _instruments(sections: list[InstrumentSection]) -> dict[str, Instrument]:
    instruments: dict[str, Instrument] = {}
    for section in sections:
        if section.symbol in instruments:
            raise ConfigError(f"instruments: symbol {section.symbol!r} stands twice")
        try:
            instruments[section.symbol] = define_instrument(
                section.symbol, section.tick_size, section.lot_size, section.multiplier
            )
        except ValueError as error:
            raise ConfigError(f"instruments[{section.symbol}].{error}") from error
    return instruments


def desk_terms(sections: list[DeskSection]) -> dict[str, DeskTerms]:
    """The terms by desk, in the file's order. Raises ConfigError naming the place."""
    desks: dict[str, DeskTerms] = {}
    for section in sections:
        name = section.desk
        if not NAME_PATTERN.fullmatch(name):
            raise ConfigError(
                f"desks: desk {name!r} is not allowed; allowed: 1 to 32 characters of "
                "A-Z a-z 0-9 ._:/-"
            )
        if name in desks:
            raise ConfigError(f"desks: desk {name!r} stands twice")
        try:
            budget = parse_money_microcents(section.budget, "budget")
            cap = exposure_cap(section.exposure_cap)
            minimum = fee_minimum(section.fee_minimum, section.fee_bound_bps)
        except ValueError as error:
            raise ConfigError(f"desks[{name}].{error}") from error
        desks[name] = DeskTerms(
            name, budget, cap, section.max_order_age_ms, section.fee_bound_bps, minimum
        )
    return desks
