"""The requests and replies of the admin protocol, as types. Pure.

Owns the shape of every message (`guard/ADMIN.md`) and the two encodings of one, which are those of
the order protocol. Money is in integer microcents, sizes of instruments are decimal text, times are
nanoseconds since 1970-01-01 UTC, ages are nanoseconds.

How it fails: `AdminError` for a body that is no request, which names the field, the value and what
is allowed.
"""

from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, Struct

from guard.admin.account_messages import AccountsReply as AccountsReply
from guard.admin.account_messages import ListAccounts as ListAccounts
from guard.admin.account_messages import SetAccount as SetAccount
from guard.admin.allowed import ALLOWED as ALLOWED
from guard.admin.bodies import RequestDecoder
from guard.admin.errors import AdminError as AdminError
from guard.admin.locate_messages import AddLocate as AddLocate
from guard.admin.locate_messages import ListLocates as ListLocates
from guard.admin.locate_messages import LocatesReply as LocatesReply
from guard.admin.locate_messages import RemoveLocate as RemoveLocate
from guard.admin.message_base import PAGE_MAX as PAGE_MAX
from guard.admin.message_base import WHY_LENGTH_MAX as WHY_LENGTH_MAX
from guard.admin.message_base import Action as Action
from guard.admin.message_base import Query as Query
from guard.admin.people_messages import Approve as Approve
from guard.admin.people_messages import ListPending as ListPending
from guard.admin.people_messages import Loosening
from guard.admin.people_messages import OpenPosition as OpenPosition
from guard.admin.people_messages import OverrideOrder as OverrideOrder
from guard.admin.people_messages import PendingApproval as PendingApproval
from guard.admin.people_messages import PendingReply as PendingReply
from guard.admin.people_messages import SetApprovals as SetApprovals
from guard.admin.people_messages import Withdraw as Withdraw
from guard.admin.shown_orders import FillLine as FillLine
from guard.admin.shown_orders import OpenOrder as OpenOrder
from guard.admin.shown_orders import OpenOrdersReply as OpenOrdersReply
from guard.admin.shown_orders import PositionLine as PositionLine
from guard.admin.shown_orders import PositionsReply as PositionsReply
from guard.admin.shown_orders import StoryReply as StoryReply
from guard.admin.shown_orders import UnchargedFill as UnchargedFill
from guard.admin.shown_orders import UnchargedFillsReply as UnchargedFillsReply
from guard.admin.shown_orders import UnreconciledLine as UnreconciledLine
from guard.admin.shown_orders import UnreconciledReply as UnreconciledReply
from guard.engine.latches import LatchKind
from guard.engine.policy_content import PolicyContent
from guard.protocol.limits import LimitScope
from guard.protocol.messages import RequestId, StatsReply
from guard.protocol.ranges import (
    CountAboveZero,
    Day,
    DeskName,
    HaltScope,
    Microcents,
    MicrocentsAboveZero,
    OrderName,
    ScopeName,
    SignedMicrocents,
    Symbol,
)

ADMIN_VERSION: Final = 1
BODY_BYTES_MAX: Final = 16 * 1024 * 1024  # the largest policy, as in a configuration file
# One query looks at so many remembered orders, and says where the next one goes on.
SCANNED_MAX: Final = 20_000

Limit: TypeAlias = Annotated[int, Meta(ge=1, le=PAGE_MAX)]
# `none` in so many words: a null would stand where a sender has no value for its cap.
Cap: TypeAlias = MicrocentsAboveZero | Literal["none"]
DecimalText: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64)]


class Halt(Action, tag="halt"):
    """Stop all orders of all desks (`firm`), a desk, account, trader, algorithm, or in a symbol."""

    scope: HaltScope
    name: ScopeName = ""


class Reducing(Action, tag="reducing"):
    """Let positions be reduced, and no more: of all desks (`firm`), or as of a halt.

    A halt that a person has set there is lifted.
    """

    scope: HaltScope
    name: ScopeName = ""


class Resume(Action, tag="resume"):
    """Lift either. `forgive_fees`: also one that unpaid fees have set, of a desk."""

    scope: HaltScope
    name: ScopeName = ""
    forgive_fees: bool = False


class TopUp(Loosening, tag="top_up"):
    """Add to a desk's budget."""

    desk: DeskName
    amount_microcents: MicrocentsAboveZero


class LowerBudget(Action, tag="lower_budget"):
    """Take from a desk's budget, of what is neither held nor spent."""

    desk: DeskName
    amount_microcents: MicrocentsAboveZero


def cap_microcents(cap: Cap) -> int | None:
    """The cap in microcents; None: there is none."""
    return cap if isinstance(cap, int) else None


class SetCap(Loosening, tag="set_cap"):
    """Cap the sum of a desk's open holds. Holds that are open stay."""

    desk: DeskName
    max_reserved_microcents: Cap


class OpenDesk(Action, tag="open_desk"):
    """A desk that is new."""

    desk: DeskName
    budget_microcents: Microcents
    max_reserved_microcents: Cap


class DefineInstrument(Action, tag="define_instrument"):
    """A symbol that is new."""

    symbol: Symbol
    tick_size: DecimalText
    lot_size: DecimalText
    multiplier: DecimalText = "1"


class ActivatePolicy(Loosening, tag="activate_policy"):
    """Another policy, whole, from the next order on."""

    policy: PolicyContent


class SetLimits(Loosening, tag="set_limits"):
    """Other limits, the whole tree, from the next order on."""

    limits: list[LimitScope]


class LiftLatch(Action, tag="lift_latch"):
    """Lift a latch that lets positions but be reduced: of a desk in a symbol, of whichever is named
    where the other is empty, of the firm where both are.
    """

    latch: LatchKind
    desk: ScopeName = ""
    symbol: ScopeName = ""


class FreeHold(Action, tag="free_hold"):
    """An order is dead, says the venue: free what it still holds, and close it."""

    desk: DeskName
    client_order_id: OrderName


class OfFill(Action):
    """What an action on a recorded fill says: which one."""

    desk: DeskName
    client_order_id: OrderName
    fill_id: OrderName


class AcceptFill(OfFill, tag="accept_fill"):
    """Charge the fee of a fill that was recorded as `uncharged`."""


class BustFill(OfFill, tag="bust_fill"):
    """The fill did not happen: what was charged for it returns."""


class CorrectFill(OfFill, tag="correct_fill"):
    """The fill happened otherwise; what is left out was right."""

    quantity: CountAboveZero | None = None
    price: CountAboveZero | None = None
    fee_microcents: SignedMicrocents | None = None


class TakeCheckpoint(Action, tag="checkpoint"):
    """Begin a checkpoint now."""


class Rotate(Action, tag="rotate"):
    """Begin a new segment of the log with the next batch."""


class Stop(Action, tag="stop"):
    """Answer what has arrived, close the log and end."""


class CloseDay(Action, tag="close_day"):
    """End a day: release its orders, if the configuration says so, and state the balances."""

    day: Day


def close_action_id(day: str) -> str:
    """The one id under which that day is closed."""
    return f"close-{day}"


class Health(Query, tag="health"):
    """How is the guard?"""


class Stats(Query, tag="stats"):
    """What has passed since the start, counted: the reply is that of the order protocol."""


class ListDesks(Query, tag="desks"):
    """Desks by name, behind `after`."""

    after: ScopeName = ""
    limit: Limit = PAGE_MAX


class ListOpenOrders(Query, tag="open_orders"):
    """Open orders, from the place that an earlier reply named."""

    desk: DeskName | None = None
    symbol: Symbol | None = None
    older_than_ns: Annotated[int, Meta(ge=0)] = 0
    suspect: bool = False
    cursor: Annotated[int, Meta(ge=0, le=2**32)] = 0
    limit: Limit = PAGE_MAX


class ListPositions(Query, tag="positions"):
    """Positions and working orders, from the place that an earlier reply named."""

    desk: DeskName | None = None
    symbol: Symbol | None = None
    cursor: Annotated[int, Meta(ge=0, le=2**32)] = 0
    limit: Limit = PAGE_MAX


class ListUncharged(Query, tag="uncharged_fills"):
    """Fills whose fee waits for a person, from the place that an earlier reply named."""

    desk: DeskName | None = None
    cursor: Annotated[int, Meta(ge=0, le=2**32)] = 0
    limit: Limit = PAGE_MAX


class ListUnreconciled(Query, tag="reconcile"):
    """Fills that no drop copy has confirmed yet, and executions whose fill has not come."""

    desk: DeskName | None = None
    cursor: Annotated[int, Meta(ge=0, le=2**32)] = 0
    limit: Limit = PAGE_MAX


class OrderStory(Query, tag="order"):
    """All that is remembered of one order."""

    desk: DeskName
    client_order_id: OrderName


class Configuration(Query, tag="configuration"):
    """What decisions depend on: settings, policy and instruments in force."""


AnyAction: TypeAlias = (
    Halt
    | Reducing
    | Resume
    | TopUp
    | LowerBudget
    | SetCap
    | OpenDesk
    | DefineInstrument
    | ActivatePolicy
    | SetLimits
    | LiftLatch
    | FreeHold
    | AcceptFill
    | BustFill
    | CorrectFill
    | TakeCheckpoint
    | Rotate
    | Stop
    | CloseDay
    | SetApprovals
    | OpenPosition
    | OverrideOrder
    | Approve
    | Withdraw
    | AddLocate
    | RemoveLocate
    | SetAccount
)
AnyQuery: TypeAlias = (
    Health
    | Stats
    | ListDesks
    | ListOpenOrders
    | ListPositions
    | ListUncharged
    | ListUnreconciled
    | OrderStory
    | Configuration
    | ListPending
    | ListLocates
    | ListAccounts
)
AnyRequest: TypeAlias = AnyAction | AnyQuery


class Done(Struct, tag="done", tag_field="type"):
    """The action is on disk as record `wal_sequence`. `repeat`: it had been done before."""

    action_id: str
    wal_sequence: int
    repeat: bool
    changes: list[str]
    request_id: RequestId = UNSET


class Planned(Struct, tag="planned", tag_field="type"):
    """What the action would change now. Nothing has changed."""

    action_id: str
    changes: list[str]
    request_id: RequestId = UNSET


class DeskLine(Struct):
    """A desk's balances, in microcents, and its state.

    `granted_microcents` = held + spent + remaining. `returned_microcents`: how much of it busts and
    corrections of fills gave back; the rest is the budget that people have granted. At the recorded
    prices, where a limit bounds money (else, or where one is missing, null): the gross exposure,
    and what was made since the day's turn.
    """

    desk: str
    granted_microcents: int
    held_microcents: int
    spent_microcents: int
    remaining_microcents: int
    max_reserved_microcents: int | None
    unpaid_fees_microcents: int
    state: str  # "active", "reducing" or "halted"
    why: list[str]  # if it is not active: "firm", "person", "fees owed", "disk",
    # or the kind of a latch
    returned_microcents: int = 0
    exposure_gross_microcents: int | None = None
    day_profit_microcents: int | None = None


class DesksReply(Struct, tag="desks", tag_field="type"):
    """A page of desks; `next_after`: where the next page begins, null behind the last one."""

    desks: list[DeskLine]
    next_after: str | None
    head_sequence: int
    request_id: RequestId = UNSET


class InstrumentLine(Struct):
    """An instrument's sizes, as decimal text."""

    symbol: str
    tick_size: str
    lot_size: str
    multiplier: str
    is_halted: bool


class ConfigurationReply(Struct, tag="configuration", tag_field="type"):
    """What decisions depend on, and the digest of the policy."""

    rules_version: int
    currency: str
    remembered_orders_max: int
    remembered_order_window_ns: int
    policy: dict[str, Any] | None
    policy_digest_hex: str
    instruments: list[InstrumentLine]
    head_sequence: int
    request_id: RequestId = UNSET


class LimitUse(Struct):
    """Who uses most of a key of limits: where the limit is said, of which desk and symbol it is
    used (empty: of all that the scope covers), how much, and of how much. Money in microcents."""

    limit: str
    said: str
    desk: str
    symbol: str
    used: int
    bound: int


class HealthReply(Struct, tag="health", tag_field="type", kw_only=True):
    """How the guard is: figures by name, and its troubles in words, the worst first."""

    admin_version: int
    software_version: str
    log_id: str
    epoch: int
    endpoint: str
    log_directory: str
    head_sequence: int
    head_hash: str
    is_serving: bool
    is_firm_halted: bool
    desks_halted: list[str]
    symbols_halted: list[str]
    is_firm_reducing: bool = False
    desks_reducing: list[str] = msgspec.field(default_factory=list)
    symbols_reducing: list[str] = msgspec.field(default_factory=list)
    names_halted: list[str] = msgspec.field(default_factory=list)  # "account ACC-1", "trader t"
    names_reducing: list[str] = msgspec.field(default_factory=list)
    latches: list[str] = msgspec.field(default_factory=list)  # kind and desk, or desk/symbol
    limits_nearly_used: list[str] = msgspec.field(default_factory=list)
    limits_used: list[LimitUse] = msgspec.field(default_factory=list)  # of each key the worst
    standing: list[str] = msgspec.field(default_factory=list)  # alarms that last, in words
    entries_halted: str | None  # why the disk's reserve has halted entries
    figures: dict[str, int]
    troubles: list[str]
    request_id: RequestId = UNSET


class Refused(Struct, tag="error", tag_field="type"):
    """The request could not be done, and changed nothing."""

    code: str
    field: str
    message: str
    request_id: RequestId = UNSET


AnyReply: TypeAlias = (
    Done
    | Planned
    | DesksReply
    | OpenOrdersReply
    | PositionsReply
    | UnchargedFillsReply
    | UnreconciledReply
    | StoryReply
    | ConfigurationReply
    | HealthReply
    | StatsReply
    | PendingApproval
    | PendingReply
    | LocatesReply
    | AccountsReply
    | Refused
)

_REQUEST: Any = AnyRequest
_REPLY: Any = AnyReply
_decode_reply = msgspec.json.Decoder(_REPLY).decode


decode_request: Final = RequestDecoder[AnyRequest](_REQUEST, ALLOWED, AdminError).decode


def encode_reply(reply: AnyReply, as_json: bool) -> bytes:
    """A reply's body, in its request's encoding."""
    return msgspec.json.encode(reply) if as_json else msgspec.msgpack.encode(reply)


def encode_request(request: AnyRequest) -> bytes:
    """A request's body, in JSON."""
    return msgspec.json.encode(request)


def decode_reply(body: bytes) -> AnyReply:
    """A reply in JSON. Raises msgspec.DecodeError."""
    reply: AnyReply = _decode_reply(body)
    return reply
