"""The ranges of what a configuration may say, and so of what a record of it may. Pure.

Owns each of them once, as types that msgspec checks while it decodes: `guard.config.file` reads its
file by them, `guard.engine.events` the records of a log, `guard.recovery.checkpoint_payload` the
state in a checkpoint. So nothing that stands in a log can ask for more than a configuration can.

msgspec holds bounds of integers as i64: the upper end of a u64 is checked where the policy is built
(`kernel.layout`).
"""

from typing import Annotated, Final, Literal, TypeAlias

from msgspec import Meta

from guard.protocol.instruments import NAME_PATTERN
from guard.protocol.messages import I64_MAX, U32_MAX
from kernel.policy import BPS_MAX, PROVIDER_ID_MAX, RISK_PENALTY_MULTIPLIER_BPS_MAX

NANOSECONDS_PER_SECOND: Final = 1_000_000_000

# Room for so many is made at the start, whether or not they come: 268 MB for the most.
REMEMBERED_ORDERS_MAX: Final = 10_000_000
REMEMBERED_ORDER_WINDOW_S_MAX: Final = 31_536_000  # a year
DISK_RESERVE_BYTES_MAX: Final = 2**50
ORDER_AGE_MS_MAX: Final = 86_400_000  # a day; what is older needs no bound in milliseconds
# So far may the system's clock stand from the log's time before it is another one: more than drifts
# apart in a process's life, less than matters to a person.
CLOCK_TOLERANCE_NS: Final = NANOSECONDS_PER_SECOND
# The last but one that an i64 holds: the last one marks what never expires
# (`guard.engine.remembered`).
TIME_NS_MAX: Final = I64_MAX - 1

_CURRENCY: Final = "[A-Z]{3}"
Currency: TypeAlias = Annotated[str, Meta(pattern=rf"^{_CURRENCY}\Z")]
RememberedOrdersMax: TypeAlias = Annotated[int, Meta(ge=1, le=REMEMBERED_ORDERS_MAX)]
RememberedOrderWindowS: TypeAlias = Annotated[int, Meta(ge=1, le=REMEMBERED_ORDER_WINDOW_S_MAX)]
RememberedOrderWindowNs: TypeAlias = Annotated[
    int,
    Meta(
        ge=NANOSECONDS_PER_SECOND,
        le=REMEMBERED_ORDER_WINDOW_S_MAX * NANOSECONDS_PER_SECOND,
        multiple_of=NANOSECONDS_PER_SECOND,
    ),
]
DiskReserveBytes: TypeAlias = Annotated[int, Meta(ge=0, le=DISK_RESERVE_BYTES_MAX)]

OrderAgeMs: TypeAlias = Annotated[int, Meta(ge=1, le=ORDER_AGE_MS_MAX)]

VenueId: TypeAlias = Annotated[int, Meta(ge=1, le=U32_MAX)]
ProviderId: TypeAlias = Annotated[int, Meta(ge=0, le=PROVIDER_ID_MAX)]
BasisPoints: TypeAlias = Annotated[int, Meta(ge=0, le=BPS_MAX)]
RiskPenaltyBps: TypeAlias = Annotated[int, Meta(ge=0, le=RISK_PENALTY_MULTIPLIER_BPS_MAX)]
LatencyMs: TypeAlias = Annotated[int, Meta(ge=0, le=U32_MAX)]
Unsigned64: TypeAlias = Annotated[int, Meta(ge=0)]
Flag: TypeAlias = Annotated[int, Meta(ge=0, le=1)]

DeskName: TypeAlias = Annotated[str, Meta(pattern=rf"^{NAME_PATTERN.pattern}\Z")]
Microcents: TypeAlias = Annotated[int, Meta(ge=0, le=I64_MAX)]
MicrocentsAboveZero: TypeAlias = Annotated[int, Meta(ge=1, le=I64_MAX)]
SignedMicrocents: TypeAlias = Annotated[int, Meta(ge=-I64_MAX - 1, le=I64_MAX)]
SignedLots: TypeAlias = Annotated[int, Meta(ge=-I64_MAX, le=I64_MAX)]
Count: TypeAlias = Annotated[int, Meta(ge=0, le=I64_MAX)]
CountAboveZero: TypeAlias = Annotated[int, Meta(ge=1, le=I64_MAX)]

# As a state has them: none, before a log says its settings.
CurrencyOrNone: TypeAlias = Annotated[str, Meta(pattern=rf"^({_CURRENCY})?\Z")]
RememberedOrdersOrNone: TypeAlias = Annotated[int, Meta(ge=0, le=REMEMBERED_ORDERS_MAX)]
WindowNsOrNone: TypeAlias = Annotated[
    int,
    Meta(
        ge=0,
        le=REMEMBERED_ORDER_WINDOW_S_MAX * NANOSECONDS_PER_SECOND,
        multiple_of=NANOSECONDS_PER_SECOND,
    ),
]

# Of an operator's action: its own name for it, under which it is done once.
ActionId: TypeAlias = Annotated[str, Meta(pattern=r"^[!-~]{1,64}\Z")]
OrderName: TypeAlias = ActionId
Symbol: TypeAlias = DeskName
HaltScope: TypeAlias = Literal["firm", "customer", "desk", "account", "trader", "algo", "symbol"]
ScopeName: TypeAlias = Annotated[str, Meta(pattern=rf"^({NAME_PATTERN.pattern})?\Z")]
OperatorAction: TypeAlias = Literal["checkpoint", "rotate", "stop", "clients"]

# What the log gives: no configuration says these. Whom records name: the client that has sent a
# request, by its name in the configuration; else `local`. (Its letters are `guard.record.rules`' to
# check, since a pattern would take as long here as all else of a record.)
Client: TypeAlias = Annotated[str, Meta(min_length=1, max_length=32)]
LOCAL_CLIENT: Final[Client] = "local"
ReceivedAtNs: TypeAlias = Annotated[int, Meta(ge=0, le=TIME_NS_MAX)]
MarkPrice: TypeAlias = Annotated[int, Meta(ge=1, le=I64_MAX)]
MarkAgeNs: TypeAlias = Annotated[int, Meta(ge=1, le=TIME_NS_MAX)]
ElapsedNs: TypeAlias = Annotated[int, Meta(ge=1, le=TIME_NS_MAX)]
Sequence: TypeAlias = Annotated[int, Meta(ge=1, le=I64_MAX)]
RulesVersion: TypeAlias = Annotated[int, Meta(ge=1, le=U32_MAX)]
Epoch: TypeAlias = Annotated[int, Meta(ge=1, le=I64_MAX)]
FreeBytes: TypeAlias = Annotated[int, Meta(ge=0)]  # blocks by their size, as the system says them
ByteCount: TypeAlias = Annotated[int, Meta(ge=0, le=I64_MAX)]
DAY_PATTERN: Final = r"^20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])\Z"
Day: TypeAlias = Annotated[str, Meta(pattern=DAY_PATTERN)]
HexDigest: TypeAlias = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
KeyId: TypeAlias = Annotated[str, Meta(pattern=r"^[0-9a-f]{16}\Z")]
LogId: TypeAlias = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")]
SoftwareVersion: TypeAlias = Annotated[str, Meta(pattern=r"^[0-9A-Za-z.+!_-]{1,64}\Z")]
