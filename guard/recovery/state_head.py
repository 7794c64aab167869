"""The head of a checkpoint's payload: all of a state but what stands in rows behind it. Pure.

Owns its fields (`wal/FORMAT.md`, "The payload of a checkpoint"), each no wider than what a record
can have said. What they are of a state, `guard.recovery.checkpoint_payload` says.
"""

from typing import Annotated, Any, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

from guard.engine.accounts import AccountEntry
from guard.engine.latches import LatchEntry
from guard.engine.locates import LocateEntry
from guard.engine.repeated import RepeatedEntry
from guard.engine.state import EntriesHalt
from guard.protocol.limits import LimitScope
from guard.protocol.ranges import (
    ActionId,
    BasisPoints,
    CurrencyOrNone,
    DeskName,
    ElapsedNs,
    HexDigest,
    MarkPrice,
    Microcents,
    OrderAgeMs,
    ReceivedAtNs,
    RememberedOrdersOrNone,
    Sequence,
    WindowNsOrNone,
)
from guard.recovery.people_head import PeopleState

FactCount: TypeAlias = Annotated[int, Meta(ge=1)]
PositionCount: TypeAlias = Annotated[int, Meta(ge=0, le=2**32)]
# Desk, symbol, kind and window of a rate, and what `guard.engine.rates` dumps of it.
RateUsed: TypeAlias = tuple[str, str, str, int, list[int]]

StoppedName: TypeAlias = tuple[Literal["customer", "trader", "algo"], DeskName]


class StateError(ValueError):
    """The bytes are not a state of this version of the guard."""


class StateHead(Struct, forbid_unknown_fields=True):
    """All of a state but the open holds and the remembered orders; lists are sorted by name.

    `instruments`: symbol, tick, lot and multiplier. `desks`: name, whether its entries are halted,
    and its unpaid fees as text (their sum has no bound). `tenants`: id, initial, remaining,
    reserved, committed. Money in microcents. No field may hold what no record can have said.

    What stands last is left out where it is false or empty; `shares` names the desks in the order
    of their shares of what is remembered, since rules version 2 (`guard.engine.shares`).
    `fee_bounds`: desk, basis points, minimum, of desks that have one. `returned`: desk, and what
    busted and corrected fills gave back. `fact_count`: entries of what `guard.engine.facts` keeps.
    `positions`, since rules version 3: the record since which they are kept, how many rows there
    are, the symbols in the order of their numbers there (`guard.engine.positions`), and how
    many reducing orders are open.
    `has_wide_orders`: have the orders' rows the integers of reductions and of chains?
    `has_chains`: stand chains of replaced orders behind the fills?
    `limits`, `rates`, `recent`, `elapsed_ns`: since rules version 3, where there are any; and
    `prices`: of symbols whose positions have one, the number, the price and when it was recorded.
    `turned_count`: of how many rows of positions the profit at the day's turn is kept; `uncounted`:
    those of which it is not known what they have made since.
    `locates`: id, desk, symbol, lots, how many of them are used, and the record that added it.
    `accounts`: name, desk, and the customer whose it is, empty for none. `stopped_names`,
    `reducing_names`: of customers, traders and algorithms, which of them, and the name.
    """

    log_id: str
    key_id: str
    epoch: int
    rules_version: int
    next_sequence: Sequence
    last_received_at_ns: ReceivedAtNs
    is_closed_cleanly: bool
    entries_halt: EntriesHalt | None
    currency: CurrencyOrNone
    remembered_orders_max: RememberedOrdersOrNone
    remembered_order_window_ns: WindowNsOrNone
    policy: dict[str, Any] | None
    policy_digest_hex: str
    instruments: list[tuple[str, str, str, str]]
    desks: list[tuple[DeskName, bool, str]]
    tenants: list[tuple[str, int, int, int, int]]
    caps: list[tuple[str, int]]
    next_reservation_id: int
    hold_count: int
    # What operators did, where they did anything: earlier versions had no such fields.
    is_firm_stopped: bool | UnsetType = UNSET
    stopped_desks: list[DeskName] | UnsetType = UNSET
    stopped_symbols: list[str] | UnsetType = UNSET
    actions: list[tuple[ActionId, Sequence, HexDigest]] | UnsetType = UNSET
    refuses_unknown_venues: bool | UnsetType = UNSET
    order_ages_ms: list[tuple[DeskName, OrderAgeMs]] | UnsetType = UNSET
    shares: list[DeskName] | UnsetType = UNSET
    fee_bounds: list[tuple[DeskName, BasisPoints, Microcents]] | UnsetType = UNSET
    returned: list[tuple[DeskName, Microcents]] | UnsetType = UNSET
    fact_count: FactCount | UnsetType = UNSET
    positions: tuple[Sequence, PositionCount, list[str], PositionCount] | UnsetType = UNSET
    limits: list[LimitScope] | UnsetType = UNSET
    rates: list[RateUsed] | UnsetType = UNSET
    recent: list[tuple[ReceivedAtNs, str]] | UnsetType = UNSET
    elapsed_ns: ElapsedNs | UnsetType = UNSET
    is_firm_reducing: bool | UnsetType = UNSET
    reducing_desks: list[DeskName] | UnsetType = UNSET
    reducing_symbols: list[str] | UnsetType = UNSET
    has_wide_orders: bool | UnsetType = UNSET
    has_chains: bool | UnsetType = UNSET
    latches: list[LatchEntry] | UnsetType = UNSET
    repeated: list[RepeatedEntry] | UnsetType = UNSET
    people: PeopleState | UnsetType = UNSET
    pending: list[tuple[int, int, int]] | UnsetType = UNSET
    execution_count: FactCount | UnsetType = UNSET
    prices: list[tuple[PositionCount, MarkPrice, ElapsedNs]] | UnsetType = UNSET
    turned_count: FactCount | UnsetType = UNSET
    uncounted: list[PositionCount] | UnsetType = UNSET
    locates: list[LocateEntry] | UnsetType = UNSET
    accounts: list[AccountEntry] | UnsetType = UNSET
    stopped_accounts: list[DeskName] | UnsetType = UNSET
    reducing_accounts: list[DeskName] | UnsetType = UNSET
    stopped_names: list[StoppedName] | UnsetType = UNSET
    reducing_names: list[StoppedName] | UnsetType = UNSET
