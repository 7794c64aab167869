"""Why an order was refused by the guard itself, and why a request was in error.

Owns the numbers and words of the guard's own reasons (the kernel's stand in `kernel.reasons`),
one range a stage, never reused; a golden test pins them.

Of 5xx, the limits (rules version 3 on), each kind has its own tens, in the order in which they are
looked at: 500 states, 510 what may be traded, 520 and 530 size and value, 540 and 550 reference and
collar, 560 and 570 rates and duplicates, 580 self-match and short sales, 590 positions, exposure,
counts. An order's own checks take 510 to 579; what is known of positions, working orders
and states takes 500 to 509 and 580 to 599. Their stage is the order's, as that of halts: a stage of
their own would be a word that older clients do not decode.
"""

from enum import IntEnum
from typing import Literal, TypeAlias

Stage: TypeAlias = Literal["order", "kernel", "ledger"]


class Refusal(IntEnum):
    """A refusal that is not the kernel's own. 2xx: the order, 3xx: its substitution, 4xx: money.

    5xx: the limits, as the module says.
    """

    CLIENT_ORDER_ID_REUSED = 200
    STALE_ORDER = 201
    IDEMPOTENCY_WINDOW_FULL = 202
    UNKNOWN_DESK = 203
    UNKNOWN_SYMBOL = 204
    QUANTITY_OUT_OF_RANGE = 205
    DESK_HALTED = 206
    DISK_LOW = 207
    FIRM_HALTED = 208
    SYMBOL_HALTED = 209
    FILL_WINDOW_FULL = 210
    ORDER_TOO_OLD = 211
    ORDER_AGE_UNKNOWN = 212
    UNKNOWN_VENUE = 213
    CANCELED_BEFORE_ARRIVAL = 214
    ACCOUNT_MISSING = 215
    ACCOUNT_UNKNOWN = 216
    ACCOUNT_HALTED = 217
    TRADER_HALTED = 218
    ALGO_HALTED = 219
    ALL_OR_NONE_REFUSED = 220
    CUSTOMER_HALTED = 221
    LIMIT_UNSAID = 510
    SYMBOL_RESTRICTED = 511
    SYMBOL_NOT_ALLOWED = 512
    SIDE_NOT_ALLOWED = 513
    VENUE_NOT_ALLOWED = 514
    ORDER_TYPE_NOT_ALLOWED = 515
    TIME_IN_FORCE_NOT_ALLOWED = 516
    QUANTITY_BELOW_MIN = 520
    QUANTITY_ABOVE_MAX = 521
    QUANTITY_OFF_STEP = 522
    PRICE_OFF_STEP = 523
    VALUE_BELOW_MIN = 530
    VALUE_ABOVE_MAX = 531
    REFERENCE_MISSING = 540
    REFERENCE_STALE = 541
    PRICE_OUTSIDE_COLLAR = 542
    REFERENCE_UNCONFIRMED = 543
    ORDER_RATE_EXCEEDED = 560
    NOTIONAL_RATE_EXCEEDED = 561
    REPLACE_RATE_EXCEEDED = 562
    DUPLICATE_ORDER = 570
    SELF_MATCH = 580
    SHORT_SALE_NOT_ALLOWED = 581
    LOCATE_MISSING = 582
    LOCATE_UNKNOWN = 583
    LOCATE_EXCEEDED = 584
    POSITION_LONG_ABOVE_MAX = 590
    POSITION_SHORT_ABOVE_MAX = 591
    OPEN_ORDERS_ABOVE_MAX = 592
    EXIT_BEYOND_POSITION = 598
    EXPOSURE_GROSS_ABOVE_MAX = 600
    EXPOSURE_NET_ABOVE_MAX = 601
    EXPOSURE_LONG_ABOVE_MAX = 602
    EXPOSURE_SHORT_ABOVE_MAX = 603
    CONCENTRATION_ABOVE_MAX = 604
    SUBSTITUTION_NOT_ALLOWED = 300
    INSUFFICIENT = 400
    EXPOSURE_LIMIT_EXCEEDED = 401
    OVERFLOW = 402
    FIRM_REDUCING = 500
    DESK_REDUCING = 501
    SYMBOL_REDUCING = 502
    DESK_SYMBOL_REDUCING = 503
    DAY_LOSS_ABOVE_MAX = 504
    ACCOUNT_REDUCING = 505
    TRADER_REDUCING = 506
    ALGO_REDUCING = 507
    CUSTOMER_REDUCING = 508

    @property
    def word(self) -> str:
        """The snake-case word of replies and records."""
        return self.name.lower()


STAGE_OF_HUNDRED: dict[int, Stage] = {2: "order", 3: "kernel", 4: "ledger", 5: "order", 6: "order"}


def stage_of(refusal: Refusal) -> Stage:
    """The stage at which a refusal is made: its range of numbers says so."""
    return STAGE_OF_HUNDRED[refusal // 100]


# Refusals that leave no trace in the map of remembered ids: the first must not displace what the
# id stands for, the other two say that there is no room or no time to remember it in.
NOT_REMEMBERED = frozenset(
    {
        Refusal.CLIENT_ORDER_ID_REUSED.word,
        Refusal.STALE_ORDER.word,
        Refusal.IDEMPOTENCY_WINDOW_FULL.word,
    }
)


class ErrorCode(IntEnum):
    """What an `error` reply says. 9xx; nothing has changed."""

    MALFORMED = 900
    BAD_FRAMING = 901
    MESSAGE_TOO_LARGE = 902
    EMPTY_ARRAY = 903
    TOO_MANY_REQUESTS = 904
    NOT_A_REQUEST = 905
    UNKNOWN_TYPE = 906
    MISSING_FIELD = 907
    UNKNOWN_FIELD = 908
    INVALID_FIELD = 909
    FILL_ID_REUSED = 920
    EXECUTION_ID_REUSED = 928
    UNKNOWN_ORDER = 921
    ORDER_REFUSED = 922
    ORDER_FILLED = 923
    UNKNOWN_DESK = 924
    UNKNOWN_SYMBOL = 925
    REDUCE_ID_REUSED = 926
    FILL_WINDOW_FULL = 929
    TOO_MANY_ORDERS = 927
    DISK_FULL = 930
    UNKNOWN_RECORD = 931
    NOT_PERMITTED = 940
    RATE_EXCEEDED = 941
    ORDER_REPLACED = 950
    REPLACE_PENDING = 951
    NO_REPLACE = 952
    REPLACE_SETTLED = 953
    ORDER_CANCELED = 954
    NOT_SERVING = 960

    @property
    def word(self) -> str:
        """The snake-case word of the reply's `code`."""
        return self.name.lower()
