# cython: annotation_typing=False
"""What the rules give for a request: a place that is filled again and again. Pure.

Owns the fields of every answer and record beside the request's own. What `guard.engine.decide`
puts here is all that the record, the state and the reply are made of. Compiled, it is a C structure
(`outcome.pxd`).

A field means something only for the kinds that have it; nobody empties the others.
"""

from enum import IntEnum
from typing import Any, Final

from guard.protocol.messages import Admit, Reject


class OutcomeKind(IntEnum):
    """What an outcome is. Those to 5 and from 10 on are recorded, unless they are a `repeat`.

    A replace is answered as an order: it is admitted, rejected or refused.
    """

    ADMITTED = 1
    REJECTED = 2  # an order that the kernel could be asked about
    REFUSED = 3  # an order that it could not be asked about
    FILLED = 4
    RELEASED = 5
    STATUS = 6
    ERROR = 7
    PONG = 8
    STATS = 9
    REDUCED = 10
    EXECUTED = 12  # recorded, as the first five
    REPLACED = 14
    REPLACE_REJECTED = 15


FOREIGN: Final = 0  # no reason's number

# In the order in which `outcome.pxd` declares them, as `guard.protocol.request.REQUEST_NUMBERS`.
# `reason`, `stage`, `field`, `detail`, `flags`, `state`: numbers of `guard.protocol.fields`.
OUTCOME_NUMBERS: Final = (
    "kind", "sequence", "stage", "reason", "repeat", "field", "detail", "venue", "substituted",
    "reservation_id", "notional_microcents", "fee_microcents", "asked", "limit", "used", "chosen",
    "free_bytes", "reserve_bytes", "original_wal_sequence", "disabled", "quality", "risk_ceiling",
    "latency", "capability", "provider", "region", "budget", "utility", "open_quantity",
    "hold_microcents", "released_microcents", "unpaid_fee_microcents", "flags", "halts_desk",
    "state", "filled_quantity", "error", "received_at_ns", "collected_microcents", "busted_fills",
    "corrected_fills", "scope", "reducing", "reduced_quantity", "suspect", "self_match",
    "located_lots", "standing_wal_sequence", "pending_wal_sequence", "refused_index",
)  # fmt: skip


class Outcome:
    """See the module. The kernel's rows are those of `kernel.layout`, where it was asked.

    `repeat`: it is the first answer again. `notional_microcents`: of an order, also where it is
    refused. `received_at_ns`: when the order of an admit or a reject was received; 0: not known any
    more. `foreign`: where `reason` is FOREIGN, the recorded answer to an order, with a reason or
    a detail of rules that this version does not have; only recovery meets one.
    """

    def __init__(self) -> None:
        self.foreign: Admit | Reject | None = None
        self.input_row: Any = [0] * 70  # compiled: arrays in the object
        self.output_row: Any = [0] * 83
        self.output_again: Any = [0] * 83
        self.kind = self.sequence = self.stage = self.reason = self.repeat = self.field = 0
        self.detail = self.venue = self.substituted = self.reservation_id = 0
        self.notional_microcents = self.fee_microcents = 0
        self.asked = self.limit = self.used = self.chosen = 0
        self.free_bytes = self.reserve_bytes = self.original_wal_sequence = 0
        self.disabled = self.quality = self.risk_ceiling = self.latency = self.capability = 0
        self.provider = self.region = self.budget = self.utility = 0
        self.open_quantity = self.hold_microcents = self.released_microcents = 0
        self.unpaid_fee_microcents = self.flags = self.halts_desk = 0
        self.state = self.filled_quantity = self.error = self.received_at_ns = 0
        self.collected_microcents = self.busted_fills = self.corrected_fills = 0
        self.scope = self.reducing = self.reduced_quantity = self.suspect = self.self_match = 0
        self.located_lots = 0
        self.standing_wal_sequence = self.pending_wal_sequence = self.refused_index = 0

    def take_foreign(self, answer: Admit | Reject) -> None:
        """It is an answer of other rules: what there is to apply of it, and itself."""
        self.reason, self.foreign = FOREIGN, answer
        self.sequence = answer.wal_sequence
        if isinstance(answer, Admit):
            self.reservation_id = answer.reservation_id
            self.notional_microcents = answer.notional_microcents
            self.reducing = int(answer.reservation_id == 0)

    def kernel_rows(self) -> tuple[bytes, bytes]:
        """The kernel's input and its output, where it was asked."""
        return bytes(self.input_row[:70]), bytes(self.output_row[:83])
