"""The table of fields: every key of every request and answer, once.

Owns where the value of a key stands in a `Request` or an `Outcome`, how it is written, and what it
may be, all of it derived from the types of `guard.protocol.messages`; and the numbers of the words
that are kept as numbers (reasons, stages, states). Parsing, records, replies and what is remembered
walk over tables made of these (`guard.protocol.layout`).

How it fails: at import, where a type has a field that has no place.
"""

from collections.abc import Callable
from enum import IntEnum
from typing import Any, Final, NamedTuple, get_args

import msgspec

from guard.protocol.instruments import NAME_PATTERN
from guard.protocol.messages import (
    I64_MAX,
    REQUEST_TYPES,
    U32_MAX,
    U64_MAX,
    Executed,
    Execution,
    Fill,
    Filled,
    Order,
    Reduce,
    Reduced,
    Released,
    Replace,
    ReplaceSettled,
    StatusReply,
)
from guard.protocol.outcome import OUTCOME_NUMBERS
from guard.protocol.reasons import STAGE_OF_HUNDRED, Refusal, Stage
from guard.protocol.request import REQUEST_NUMBERS, TEXTS
from guard.protocol.slots import OUTCOME_SLOT
from kernel import Reason
from kernel.layout import TRACE


class ValueKind(IntEnum):
    """How a value is written."""

    NUMBER = 0
    SIGNED = 1
    OPTIONAL_NUMBER = 2  # null for 0
    TEXT = 3
    OPTIONAL_TEXT = 4  # null where it has no bytes
    WORD = 5  # one of a few, kept as its number
    DETAIL = 6  # integers by name, which ones the outcome says
    SAME_TEXT = 7  # a text, and SIGNED, of the request: the answer repeats it
    SAME_SIGNED = 8
    ECHO = 9  # the request's id


class Field(NamedTuple):
    """A key and its value: number `slot` (of `TEXTS` where it is a text), from `low` to `high`.

    `is_sparse`: where it is 0 neither key nor value are written.
    """

    name: str
    kind: ValueKind
    slot: int
    words: tuple[Any, ...] = ()
    low: int = 0
    high: int = U64_MAX
    default: int = 0
    is_required: bool = True
    is_sparse: bool = False


KINDS: Final = tuple(REQUEST_TYPES)
(
    ORDER, FILL, CANCEL, STATUS, PING, STATS, HELLO, MARK, LIMITS, POSITIONS, REDUCE, EXECUTION,
    CANCEL_ALL, REPLACE, REPLACED, REPLACE_REJECTED,
) = range(len(KINDS))  # fmt: skip
BAD: Final = len(KINDS)  # no request: it is answered by an error

TEXT_NAMES: Final = tuple(TEXTS)


def _alphabet(is_allowed: Callable[[str], bool]) -> bytes:
    """One byte a character: whether a text may hold it. None beyond ASCII, in any text."""
    return bytes(character < 128 and is_allowed(chr(character)) for character in range(256))


_NAME: Final = _alphabet(lambda character: NAME_PATTERN.fullmatch(character) is not None)
_IDENTIFIER: Final = _alphabet(lambda character: character.isprintable() and character != " ")
_PRINTABLE: Final = _alphabet(str.isprintable)
# What each of the texts may be made of.
ALPHABETS: Final = {
    "client_order_id": _IDENTIFIER,
    "desk": _NAME,
    "symbol": _NAME,
    "fill_id": _IDENTIFIER,
    "currency": _IDENTIFIER,
    "client": _NAME,
    "echo": _PRINTABLE,
    "original_client_order_id": _IDENTIFIER,
    "account": _NAME,
    "trader": _NAME,
    "algo": _NAME,
}
# Whose an order is within its desk, and who or what has made it.
ORDER_NAMES: Final = ("account", "trader", "algo")
GATES: Final = TRACE.field_names
STAGES: Final[tuple[Stage, ...]] = get_args(Stage)
# Those that a record may have, and behind them what was said of a fill later: replies alone.
RECORDED_FLAGS: Final = (
    "overfill", "late", "unknown", "refused", "uncharged", "early", "uncounted",
    "executed", "differs",
)  # fmt: skip
FLAGS: Final = (*RECORDED_FLAGS, "accepted", "busted", "corrected")
(
    OVERFILL,
    LATE,
    UNKNOWN,
    REFUSED,
    UNCHARGED,
    EARLY,
    UNCOUNTED,
    EXECUTED,
    DIFFERS,
    ACCEPTED,
    BUSTED,
    CORRECTED,
) = (1 << bit for bit in range(len(FLAGS)))
FLAG_SETS: Final = tuple(  # the usual ones have low numbers, and are found first
    [flag for bit, flag in enumerate(FLAGS) if number >> bit & 1]
    for number in range(1 << len(FLAGS))
)
# What a cancel has: of what is above `early` alone.
RATE: Final = 1
CANCEL_FLAG_SETS: Final = tuple(
    [word for flag, word in ((EARLY, "early"), (RATE, "rate")) if number & flag]
    for number in range((EARLY | RATE) + 1)
)
# What a reduction has of them: at most one.
REDUCED_FLAGS: Final[tuple[list[str], ...]] = ([], ["late"], ["overreduced"])
REDUCED_LATE, OVERREDUCED = 1, 2
# What the end of a replace has.
SETTLED_FLAGS: Final[tuple[list[str], ...]] = ([], ["late"])
SETTLED_LATE = 1
# What an execution has.
EXECUTION_FLAGS: Final = (
    "confirms", "differs", "overfill", "late", "unknown", "refused"
)  # fmt: skip
(
    EXECUTION_CONFIRMS, EXECUTION_DIFFERS, EXECUTION_OVERFILL, EXECUTION_LATE, EXECUTION_UNKNOWN,
    EXECUTION_REFUSED,
) = (1 << bit for bit in range(len(EXECUTION_FLAGS)))  # fmt: skip
EXECUTION_FLAG_SETS: Final = tuple(
    [flag for bit, flag in enumerate(EXECUTION_FLAGS) if number >> bit & 1]
    for number in range(1 << len(EXECUTION_FLAGS))
)
STATES: Final = ("unknown", "open", "closed", "refused")
CODE_OF_REASON: Final[dict[str, int]] = {
    **{reason.snake: int(reason) for reason in Reason},
    **{refusal.word: int(refusal) for refusal in Refusal},
}
REASON_WORDS: Final = tuple(
    {code: word for word, code in CODE_OF_REASON.items()}.get(code, "")
    for code in range(max(CODE_OF_REASON.values()) + 1)
)
_COUNTED: Final = {int(Reason.RISK_HARD_LIMIT), int(Reason.CONFIDENCE_HARD_LIMIT)}
# (The last one is a replace's: it has no place among an order's.)
ORDER_FIELDS: Final = (
    *(name for name in Order.__struct_fields__ if name != "request_id"),
    "original_client_order_id",
)
EXECUTION_FIELDS: Final = tuple(
    name for name in Execution.__struct_fields__ if name != "request_id"
)
FILL_FIELDS: Final = tuple(name for name in Fill.__struct_fields__ if name != "request_id")
REPLACE_FIELDS: Final = tuple(name for name in Replace.__struct_fields__ if name != "request_id")
REDUCE_FIELDS: Final = tuple(name for name in Reduce.__struct_fields__ if name != "request_id")

# What a reject's detail holds, by what it is refused for; the kernel's own reasons hold the counts.
DETAILS: Final[tuple[tuple[str, ...], ...]] = (
    (),
    ("asked", "limit", "used"),
    ("original_wal_sequence",),
    ("free_bytes", "reserve_bytes"),
    GATES,
    (*GATES, "asked", "limit"),
    ("asked", "chosen", *GATES),
    ("asked",),
    ("asked", "limit", "used", "scope"),
    ("asked", "scope"),
    ("scope",),
    ("refused_index",),
)
(
    NO_DETAIL,
    LIMIT_DETAIL,
    ORIGINAL_DETAIL,
    DISK_DETAIL,
    COUNTS_DETAIL,
    COUNTS_LIMIT_DETAIL,
    CHOSEN_DETAIL,
    VENUE_DETAIL,
    SCOPED_LIMIT_DETAIL,
    SCOPED_DETAIL,
    SCOPE_DETAIL,
    TOGETHER_DETAIL,
) = range(len(DETAILS))
_DETAIL_OF_REFUSAL: Final = {
    Refusal.CLIENT_ORDER_ID_REUSED: ORIGINAL_DETAIL,
    Refusal.CANCELED_BEFORE_ARRIVAL: ORIGINAL_DETAIL,
    Refusal.ALL_OR_NONE_REFUSED: TOGETHER_DETAIL,
    Refusal.UNKNOWN_DESK: NO_DETAIL,
    Refusal.UNKNOWN_SYMBOL: NO_DETAIL,
    Refusal.ACCOUNT_MISSING: NO_DETAIL,
    Refusal.ACCOUNT_UNKNOWN: NO_DETAIL,
    Refusal.CUSTOMER_HALTED: NO_DETAIL,
    Refusal.ACCOUNT_HALTED: NO_DETAIL,
    Refusal.TRADER_HALTED: NO_DETAIL,
    Refusal.ALGO_HALTED: NO_DETAIL,
    Refusal.CUSTOMER_REDUCING: NO_DETAIL,
    Refusal.ACCOUNT_REDUCING: NO_DETAIL,
    Refusal.TRADER_REDUCING: NO_DETAIL,
    Refusal.ALGO_REDUCING: NO_DETAIL,
    Refusal.DISK_LOW: DISK_DETAIL,
    Refusal.FIRM_HALTED: NO_DETAIL,
    Refusal.SYMBOL_HALTED: NO_DETAIL,
    Refusal.ORDER_AGE_UNKNOWN: NO_DETAIL,
    Refusal.FIRM_REDUCING: NO_DETAIL,
    Refusal.DESK_REDUCING: LIMIT_DETAIL,
    Refusal.SYMBOL_REDUCING: NO_DETAIL,
    Refusal.EXIT_BEYOND_POSITION: LIMIT_DETAIL,
    Refusal.DESK_SYMBOL_REDUCING: NO_DETAIL,
    Refusal.UNKNOWN_VENUE: VENUE_DETAIL,
    Refusal.SUBSTITUTION_NOT_ALLOWED: CHOSEN_DETAIL,
    Refusal.LIMIT_UNSAID: VENUE_DETAIL,
    Refusal.VENUE_NOT_ALLOWED: SCOPED_DETAIL,
    Refusal.SELF_MATCH: SCOPED_DETAIL,
    Refusal.SHORT_SALE_NOT_ALLOWED: SCOPED_DETAIL,
    Refusal.LOCATE_MISSING: SCOPED_DETAIL,
    Refusal.LOCATE_UNKNOWN: SCOPED_DETAIL,
    **dict.fromkeys(
        (
            Refusal.SYMBOL_RESTRICTED,
            Refusal.SYMBOL_NOT_ALLOWED,
            Refusal.SIDE_NOT_ALLOWED,
            Refusal.ORDER_TYPE_NOT_ALLOWED,
            Refusal.TIME_IN_FORCE_NOT_ALLOWED,
            Refusal.REFERENCE_MISSING,
        ),
        SCOPE_DETAIL,
    ),
}
_FIRST_LIMIT: Final = 500  # the refusals of limits name the scope whose limit it is


def detail_of_reason(code: int) -> int:
    """Which of `DETAILS` a reject with that reason has."""
    if code in _COUNTED:
        return COUNTS_LIMIT_DETAIL
    if code in list(Refusal):
        usual = SCOPED_LIMIT_DETAIL if code >= _FIRST_LIMIT else LIMIT_DETAIL
        return _DETAIL_OF_REFUSAL.get(Refusal(code), usual)
    return COUNTS_DETAIL


def stage_of_reason(code: int) -> int:
    """Which of `STAGES` refuses for that reason."""
    return STAGES.index(STAGE_OF_HUNDRED.get(code // 100, "kernel"))


def _int_type(field: Any) -> Any:
    """Its integer type, of a union with None too; None where it is no integer."""
    of = getattr(field.type, "types", (field.type,))
    return next((one for one in of if isinstance(one, msgspec.inspect.IntType)), None)


# These stand where others do, which no request of theirs has.
_PLACES: Final = {
    "from_symbol": "symbol",
    "from_desk": "desk",
    "from_venue": "venue",
    "reduce_id": "fill_id",
    "execution_id": "fill_id",
    "locate_id": "fill_id",
    "of_desk": "desk",
    "of_symbol": "symbol",
    "of_venue": "venue",
    "through_sequence": "quantity",
}


def _request_field(field: Any) -> Field:
    """The place of a request's field, and what its type says of it."""
    name = _PLACES.get(field.name, field.name)
    is_optional = any(
        isinstance(one, msgspec.inspect.NoneType) for one in getattr(field.type, "types", ())
    )
    if name == "request_id":
        return Field(name, ValueKind.ECHO, TEXT_NAMES.index("echo"), is_required=False)
    if name in TEXT_NAMES:
        kind = ValueKind.OPTIONAL_TEXT if is_optional else ValueKind.TEXT
        # A text that may be left out and is never null: where it has no bytes it is not written.
        is_sparse = not field.required and not is_optional
        place = TEXT_NAMES.index(name)
        return Field(field.name, kind, place, is_required=field.required, is_sparse=is_sparse)
    slot = REQUEST_NUMBERS.index(name)
    integer = _int_type(field)
    if integer is None:
        words = getattr(field.type, "values", (False, True))
        if isinstance(field.type, msgspec.inspect.LiteralType):
            words = get_args(_annotation(name))
        default = 0 if field.required else words.index(field.default)
        return Field(name, ValueKind.WORD, slot, words, 0, len(words) - 1, default, field.required)
    if not (field.required or is_optional) and field.default is msgspec.NODEFAULT:
        kind, high = ValueKind.NUMBER, integer.le  # UNSET, and never null
        return Field(
            field.name, kind, slot, (), integer.ge, high, is_required=False, is_sparse=True
        )
    if is_optional:
        high = integer.le
        return Field(field.name, ValueKind.OPTIONAL_NUMBER, slot, (), integer.ge, high, 0, False)
    if integer.ge < 0:
        return Field(name, ValueKind.SIGNED, slot, is_required=field.required)
    high = U64_MAX if integer.le is None else integer.le
    default = 0 if field.required else field.default
    return Field(field.name, ValueKind.NUMBER, slot, (), integer.ge, high, default, field.required)


def _annotation(name: str) -> Any:
    return Order.__annotations__[name]


def fields_of_request(struct: type) -> tuple[Field, ...]:
    """A request type's fields, in the protocol's order."""
    info: Any = msgspec.inspect.type_info(struct)
    return tuple(_request_field(field) for field in info.fields)


REQUEST_FIELDS: Final = tuple(fields_of_request(REQUEST_TYPES[kind]) for kind in KINDS)


# Without the request's id, which belongs to a sending: what is recorded of a request.
RECORDED_FIELDS: Final = tuple(
    tuple(field for field in each if field.name != "request_id") for each in REQUEST_FIELDS
)


def _outcome(name: str) -> int:
    return OUTCOME_SLOT + OUTCOME_NUMBERS.index(name)


# Of an answer's fields: where each stands. Those that are not named here stand in the outcome
# under their own name, and are below 2^63.
_ANSWER_FIELDS: Final = {
    "wal_sequence": Field("wal_sequence", ValueKind.NUMBER, _outcome("sequence")),
    "venue": Field("venue", ValueKind.NUMBER, _outcome("venue"), (), 1, U32_MAX),
    "fee_microcents": Field("fee_microcents", ValueKind.NUMBER, _outcome("fee_microcents")),
    "notional_microcents": Field(
        "notional_microcents", ValueKind.NUMBER, _outcome("notional_microcents"), (), 0, I64_MAX
    ),
    **{  # said where it is so, and not else
        name: Field(name, ValueKind.WORD, _outcome(name), ("", True), is_sparse=True)
        for name in ("reducing", "suspect", "self_match")
    },
    **{
        name: Field(name, ValueKind.NUMBER, _outcome(name), (), 1, I64_MAX, is_sparse=True)
        for name in (
            "collected_microcents",
            "busted_fills",
            "corrected_fills",
            "reduced_quantity",
            "located_lots",
            "standing_wal_sequence",
            "pending_wal_sequence",
        )
    },
    "substituted": Field("substituted", ValueKind.WORD, _outcome("substituted"), (False, True)),
    "repeat": Field("repeat", ValueKind.WORD, _outcome("repeat"), (False, True)),
    "halts_desk": Field("halts_desk", ValueKind.WORD, _outcome("halts_desk"), (False, True)),
    "stage": Field("stage", ValueKind.WORD, _outcome("stage"), STAGES),
    "reason": Field("reason", ValueKind.WORD, _outcome("reason"), REASON_WORDS),
    "field": Field("field", ValueKind.WORD, _outcome("field"), ORDER_FIELDS),
    "flags": Field("flags", ValueKind.WORD, _outcome("flags"), FLAG_SETS),
    "state": Field("state", ValueKind.WORD, _outcome("state"), STATES),
    "detail": Field("detail", ValueKind.DETAIL, _outcome("detail")),
}
_FILLED_FEE: Final = Field(
    "fee_microcents", ValueKind.SAME_SIGNED, REQUEST_NUMBERS.index("fee_microcents")
)


def answer_field(struct: type, name: str) -> Field:
    """Where the answer's field of that name stands."""
    if struct is Filled and name == "fee_microcents":
        return _FILLED_FEE
    if struct is Released and name == "flags":
        return _ANSWER_FIELDS[name]._replace(words=CANCEL_FLAG_SETS, is_sparse=True)
    if struct is Reduced and name == "flags":
        return _ANSWER_FIELDS[name]._replace(words=REDUCED_FLAGS)
    if struct is ReplaceSettled and name == "flags":
        return _ANSWER_FIELDS[name]._replace(words=SETTLED_FLAGS)
    if struct is Executed and name == "flags":
        return _ANSWER_FIELDS[name]._replace(words=EXECUTION_FLAG_SETS)
    place = _PLACES.get(name, name)
    if place in TEXT_NAMES:
        return Field(name, ValueKind.SAME_TEXT, TEXT_NAMES.index(place))
    return _ANSWER_FIELDS.get(name) or Field(name, ValueKind.NUMBER, _outcome(name), (), 0, I64_MAX)


def detail_field(name: str) -> Field:
    """Where a member of a reject's detail stands."""
    return Field(name, ValueKind.NUMBER, _outcome(name))


def fields_of_answer(struct: type, *left_out: str) -> tuple[Field, ...]:
    """An answer type's fields, in the protocol's order, but for its request's id and those."""
    unsaid = {"request_id", *left_out}
    return tuple(
        answer_field(struct, name)
        for name in struct.__struct_fields__  # type: ignore[attr-defined]
        if name not in unsaid
    )


# Of the answer to a question: what stands before the order's own answer, and what behind it.
STATUS_BEFORE, STATUS_BEHIND = (
    tuple(answer_field(StatusReply, name) for name in names)
    for names in (
        ("desk", "client_order_id", "state"),
        (
            "filled_quantity",
            "open_quantity",
            "hold_microcents",
            "busted_fills",
            "corrected_fills",
            "reduced_quantity",
            "suspect",
            "standing_wal_sequence",
            "pending_wal_sequence",
        ),
    )
)
