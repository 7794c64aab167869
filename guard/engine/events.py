"""What the engine decides, and what the log says: one type an event. Pure.

Owns the events of the log (`wal/FORMAT.md` gives them the chain; `guard.record.codec` their bytes),
those that answer a request excepted (`guard.engine.request_events`).
An event holds all that `guard.engine` needs to change the state by, the answer that was given
included, so that recovery never decides anything.

Every event begins with `received_at_ns`, the authenticated client (or `local`) and the first
sequence of the batch that it was written in. One that answers a request ends with `clock_ns`, what
the system's clock said then, where that is not about the same. Administrative ones go on with who
and why. Money is in microcents, sizes are decimal text, times are nanoseconds since 1970-01-01 UTC.
What the field of an administrative event may hold, its type says (`guard.protocol.ranges`): a
record beyond that is not decoded. What it must have to do with the records before it,
`guard.record.rules` says.
"""

from typing import Literal, TypeAlias

from msgspec import UNSET, Struct, UnsetType

from guard.engine.account_events import AccountSet as AccountSet
from guard.engine.administrative import Administrative
from guard.engine.key_handover import KeyHandover
from guard.engine.locate_events import LocateAdded, LocateRemoved
from guard.engine.loss_events import LossBreached
from guard.engine.people_events import (
    Approvable,
    ApprovalsSet,
    LatchLifted,
    LatchSet,
    LooseningReverted,
    OrderOverridden,
    OverrideExpired,
    PositionOpened,
    ProposalExpired,
    ProposalWithdrawn,
    Proposed,
)
from guard.engine.policy_content import PolicyContent
from guard.engine.request_events import (
    AllOrNoneRecorded,
    CanceledAllRecorded,
    Event,
    ExecutionRecorded,
    FillRecorded,
    OrderDecided,
    OrderRefused,
    OrderReleased,
    ReductionRecorded,
    ReplaceDone,
    ReplaceFailed,
)
from guard.engine.trading_events import TradingHalted as TradingHalted
from guard.engine.trading_events import TradingReduced as TradingReduced
from guard.engine.trading_events import TradingResumed as TradingResumed
from guard.protocol.limits import LimitScope
from guard.protocol.ranges import (
    ActionId,
    BasisPoints,
    ByteCount,
    CountAboveZero,
    Currency,
    Day,
    DeskName,
    DiskReserveBytes,
    ElapsedNs,
    Epoch,
    FreeBytes,
    HexDigest,
    LogId,
    MarkAgeNs,
    MarkPrice,
    Microcents,
    MicrocentsAboveZero,
    OperatorAction,
    OrderAgeMs,
    OrderName,
    ReceivedAtNs,
    RememberedOrdersMax,
    RememberedOrderWindowNs,
    RulesVersion,
    Sequence,
    SignedMicrocents,
    SoftwareVersion,
    Symbol,
)

LOG_FORMAT_VERSION = 1
# The rules that decide now, and all by which what was recorded earlier is decided again.
RULES_VERSION = 3
RULES_VERSIONS = range(1, RULES_VERSION + 1)


class Revalued(Event, tag="revalued", gc=False):
    """Positions in a symbol are valued at this price from here on: its mark, and how old that was.

    `elapsed_ns`: the log's count of time, by which the next one may be due (`guard.engine.prices`).
    """

    symbol: Symbol
    price: MarkPrice
    age_ns: MarkAgeNs
    elapsed_ns: ElapsedNs


class LogOpened(Administrative, tag="log_opened"):
    """The first record of a log of ours.

    `opening_records`: how many records its first batch has, this one included. With fewer the log
    was never begun to its end; left out by versions that did not say it. `key_number`: the key's
    place among the evolving ones; left out for a plain key.
    """

    log_id: LogId
    format_version: int
    rules_version: int
    software_version: SoftwareVersion
    key_id: str
    epoch: Epoch
    opening_records: Sequence | UnsetType = UNSET
    key_number: CountAboveZero | UnsetType = UNSET


class RulesActivated(Administrative, tag="rules_activated"):
    """Newer rules decide from here on: the first start of software that has them.

    What stands before is decided again by the rules of `previous_rules_version`.
    """

    rules_version: RulesVersion
    previous_rules_version: RulesVersion


class SettingsActivated(Administrative, tag="settings_activated"):
    """The settings that decisions depend on.

    `refuses_unknown_venues`: left out where it is false.
    """

    currency: Currency
    remembered_orders_max: RememberedOrdersMax
    remembered_order_window_ns: RememberedOrderWindowNs
    refuses_unknown_venues: bool | UnsetType = UNSET


class PolicyActivated(Approvable, tag="policy_activated"):
    """The policy in force from here on, whole, and its digest."""

    policy: PolicyContent
    policy_digest_hex: str
    action_id: ActionId | UnsetType = UNSET


class InstrumentDefined(Approvable, tag="instrument_defined"):
    """A symbol's sizes, in force from here on."""

    symbol: str
    tick_size: str
    lot_size: str
    multiplier: str
    action_id: ActionId | UnsetType = UNSET


class DeskOpened(Approvable, tag="desk_opened"):
    """A desk with its budget; no cap when `max_reserved_microcents` is null.

    `max_order_age_ms`: left out where it has none.
    `fee_bound_bps`, `fee_minimum_microcents`: as in `DeskFeeBounded`; left out where there is none.
    """

    desk: DeskName
    budget_microcents: Microcents
    max_reserved_microcents: MicrocentsAboveZero | None
    action_id: ActionId | UnsetType = UNSET
    max_order_age_ms: OrderAgeMs | UnsetType = UNSET
    fee_bound_bps: BasisPoints | UnsetType = UNSET
    fee_minimum_microcents: Microcents | UnsetType = UNSET


class LimitsSet(Approvable, tag="limits_set"):
    """The whole tree of limits in force from here on, normalized, and its digest; none: no limits.

    (`guard.protocol.limits`.)
    """

    limits: list[LimitScope]
    limits_digest_hex: HexDigest
    action_id: ActionId | UnsetType = UNSET


class DeskToppedUp(Approvable, tag="desk_topped_up"):
    """More budget for a desk. `collected_microcents`: what of it paid the desk's debt at once."""

    desk: DeskName
    amount_microcents: MicrocentsAboveZero
    action_id: ActionId | UnsetType = UNSET
    collected_microcents: MicrocentsAboveZero | UnsetType = UNSET


class DeskCapped(Approvable, tag="desk_capped"):
    """Another cap on a desk's open holds; none when null."""

    desk: DeskName
    max_reserved_microcents: MicrocentsAboveZero | None
    action_id: ActionId | UnsetType = UNSET


class DeskOrderAgeLimited(Administrative, tag="desk_order_age_limited"):
    """Another bound on the age of a desk's orders; none when null."""

    desk: DeskName
    max_order_age_ms: OrderAgeMs | None


class DeskFeeBounded(Administrative, tag="desk_fee_bounded"):
    """What a fill of the desk is charged up to: basis points of its notional, and a minimum.

    A fee beyond their sum is recorded, and charged when a person accepts it. Both null: any fee.
    """

    desk: DeskName
    fee_bound_bps: BasisPoints | None
    fee_minimum_microcents: Microcents | None


class FillAccepted(Administrative, tag="fill_accepted"):
    """The fee of a fill that was `uncharged` is charged; `fill_sequence`: the fill's record."""

    desk: DeskName
    client_order_id: OrderName
    fill_id: OrderName
    fill_sequence: Sequence
    fee_microcents: Microcents
    unpaid_fee_microcents: Microcents
    action_id: ActionId | UnsetType = UNSET


class FillBusted(Administrative, tag="fill_busted"):
    """A fill did not happen; what was charged for it returns as a top-up.

    `collected_microcents`: what of that paid the desk's debt; left out where nothing.
    """

    desk: DeskName
    client_order_id: OrderName
    fill_id: OrderName
    fill_sequence: Sequence
    returned_microcents: Microcents
    collected_microcents: MicrocentsAboveZero | UnsetType = UNSET
    action_id: ActionId | UnsetType = UNSET


class FillCorrected(Administrative, tag="fill_corrected"):
    """A fill happened otherwise: so many lots, at that price, for that fee.

    What was charged too little for it is charged, what was too much returns as a top-up.
    """

    desk: DeskName
    client_order_id: OrderName
    fill_id: OrderName
    fill_sequence: Sequence
    quantity: CountAboveZero
    price: CountAboveZero | None
    fee_microcents: SignedMicrocents
    charged_microcents: Microcents
    unpaid_fee_microcents: Microcents
    returned_microcents: Microcents
    collected_microcents: MicrocentsAboveZero | UnsetType = UNSET
    action_id: ActionId | UnsetType = UNSET


class DeskResumed(Administrative, tag="desk_resumed"):
    """A halted desk may enter orders again."""

    desk: DeskName
    action_id: ActionId | UnsetType = UNSET


class BudgetLowered(Administrative, tag="budget_lowered"):
    """A part of a desk's budget was taken back, of what was neither held nor spent."""

    desk: DeskName
    amount_microcents: MicrocentsAboveZero
    action_id: ActionId | UnsetType = UNSET


class HoldFreed(Administrative, tag="hold_freed"):
    """An order that the venue says is dead: what it still held is free, and it is closed."""

    desk: DeskName
    client_order_id: OrderName
    released_microcents: Microcents
    action_id: ActionId | UnsetType = UNSET
    collected_microcents: MicrocentsAboveZero | UnsetType = UNSET


class OperatorActed(Administrative, tag="operator_acted"):
    """An operator had the daemon do something that changes nothing of the state."""

    action: OperatorAction
    action_id: ActionId | UnsetType = UNSET


class DayClosed(Administrative, tag="day_closed"):
    """A day's end: what its certificate states is bound by a digest (`guard.engine.day_close`).

    `closes_sequence`: of the record before, behind which the statement stands.
    """

    day: Day
    closes_sequence: Sequence
    statement_digest_hex: HexDigest
    action_id: ActionId | UnsetType = UNSET


class EntriesHalted(Administrative, tag="halt"):
    """No desk may enter orders: the disk of the log has less free than its reserve."""

    reason: Literal["disk_low"]
    free_bytes: ByteCount
    reserve_bytes: DiskReserveBytes


class EntriesResumed(Administrative, tag="resume"):
    """Desks may enter orders again."""

    free_bytes: FreeBytes


class CutNoted(Struct, forbid_unknown_fields=True):
    """What a repair cut from a torn tail, and where the copy is."""

    segment: str
    offset: ByteCount
    first_sequence_lost: Sequence
    bytes_cut: ByteCount
    reason: str
    copy_name: str


class LossAccepted(Struct, forbid_unknown_fields=True):
    """A record that was durable, and that the log does not hold any more.

    `known_from`: the file that says so; `sequence`, `entry_hash`: of the record.
    """

    known_from: str
    sequence: Sequence
    entry_hash: HexDigest


class CheckpointTaken(Administrative, tag="checkpoint"):
    """A checkpoint of the state after record `checkpoint_sequence`, an earlier one, is on disk.

    `checkpoint_hash`: the hash of that record. `state_digest_hex`: of that state
    (`guard.recovery.checkpoint_payload`). `file_name` and `payload_bytes`: its file beside the log.
    """

    checkpoint_sequence: Sequence
    checkpoint_hash: HexDigest
    state_digest_hex: HexDigest
    file_name: str
    payload_bytes: ByteCount


class SessionStarted(Administrative, tag="session_started"):
    """A restart: what was recovered and what had to be cut.

    `checkpoint_sequence`: of the checkpoint that it began with; left out where the whole log was
    read. `losses`: what is known to be lost, and was accepted by who started; left out else.
    `clock_ns`: the system's clock, where it stands behind `received_at_ns`, the log's time; left
    out else. `key`: where the log goes on under another key from this record on; left out else.
    """

    epoch: Epoch
    software_version: SoftwareVersion
    recovered_sequence: Sequence
    recovered_hash: HexDigest
    after_clean_stop: bool
    cuts: list[CutNoted]
    checkpoint_sequence: Sequence | UnsetType = UNSET
    losses: list[LossAccepted] | UnsetType = UNSET
    clock_ns: ReceivedAtNs | UnsetType = UNSET
    key: KeyHandover | UnsetType = UNSET


class KeyChanged(Administrative, tag="key_changed"):
    """From this record on, the first of its segment, the log is under another key."""

    key: KeyHandover


class ClockAccepted(Administrative, tag="clock_accepted"):
    """The log's time goes on from an earlier one: a clock had been ahead, and a person says so.

    The one event whose `received_at_ns` is before that of the record before it, `previous_ns`.
    """

    previous_ns: ReceivedAtNs


class SessionClosed(Administrative, tag="session_closed"):
    """A clean stop: nothing follows in this session."""


# Every event but the one that stands in a decision record, beside what the kernel said.
PlainEvent: TypeAlias = (
    OrderRefused
    | FillRecorded
    | ExecutionRecorded
    | OrderReleased
    | Revalued
    | LossBreached
    | ReductionRecorded
    | CanceledAllRecorded
    | AllOrNoneRecorded
    | ReplaceDone
    | ReplaceFailed
    | LogOpened
    | RulesActivated
    | SettingsActivated
    | PolicyActivated
    | InstrumentDefined
    | DeskOpened
    | AccountSet
    | LimitsSet
    | DeskToppedUp
    | DeskCapped
    | DeskOrderAgeLimited
    | DeskFeeBounded
    | FillAccepted
    | FillBusted
    | FillCorrected
    | DeskResumed
    | BudgetLowered
    | TradingHalted
    | TradingReduced
    | TradingResumed
    | ApprovalsSet
    | Proposed
    | ProposalWithdrawn
    | ProposalExpired
    | LooseningReverted
    | OrderOverridden
    | OverrideExpired
    | PositionOpened
    | LatchSet
    | LatchLifted
    | LocateAdded
    | LocateRemoved
    | HoldFreed
    | OperatorActed
    | DayClosed
    | EntriesHalted
    | EntriesResumed
    | CheckpointTaken
    | SessionStarted
    | KeyChanged
    | ClockAccepted
    | SessionClosed
)

Outcome: TypeAlias = OrderDecided | PlainEvent


class KernelRows(Struct, frozen=True, gc=False):
    """What the kernel was asked and answered, in its canonical layouts, and under which policy."""

    input_row: bytes
    output_row: bytes
    policy_digest_hex: str


class Decided(Struct, gc=False):
    """An outcome on its way to the log. `kernel` is set for `OrderDecided`, and only there."""

    outcome: Outcome
    kernel: KernelRows | None = None
