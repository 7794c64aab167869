"""How the answers of two days differ: counted, and a few of each kind kept as examples. Pure.

Owns the kinds of change, in the order in which a report lists them, and what is said of each.
`guard.audit.whatif` makes the second day.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeAlias

from guard.protocol.messages import Admit, ErrorReply, Reject
from guard.protocol.outcome import Outcome, OutcomeKind
from guard.protocol.request import Request

# An error: of a replace whose order is not open on the other day.
Answer: TypeAlias = Admit | Reject | ErrorReply

EXAMPLES_MAX: Final = 20

_ADMITTED, _ERROR = int(OutcomeKind.ADMITTED), int(OutcomeKind.ERROR)

CHANGES: Final = ("newly_refused", "newly_admitted", "other_venue", "other_reason", "other_fee")


@dataclass(slots=True)
class Change:
    """Orders whose answer moved in one way: how many, from what to what, whose, and examples."""

    count: int = 0
    notional_microcents: int = 0
    moves: Counter[tuple[str, str]] = field(default_factory=Counter)
    desks: Counter[str] = field(default_factory=Counter)
    examples: list[dict[str, Any]] = field(default_factory=list)

    def add(self, sequence: int, order: Request, before: Answer, after: Answer) -> None:
        """Counts an order, and keeps it as an example while there are few."""
        self.count += 1
        admitted = after if isinstance(after, Admit) else before
        if isinstance(admitted, Admit):
            self.notional_microcents += admitted.notional_microcents
        self.moves[_said(before), _said(after)] += 1
        self.desks[order.desk] += 1
        if len(self.examples) < EXAMPLES_MAX:
            self.examples.append(
                {
                    "sequence": sequence,
                    "desk": order.desk,
                    "client_order_id": order.client_order_id,
                    "symbol": order.symbol,
                    "before": _brief(before),
                    "after": _brief(after),
                }
            )


class Counts(NamedTuple):
    """What the answer to an order adds to a day's sums, or these sums.

    `fees_microcents`: the kernel's estimates for admitted orders.
    """

    admitted: int = 0
    rejected: int = 0
    admitted_notional_microcents: int = 0
    fees_microcents: int = 0


NOTHING: Final = Counts()
_REJECTED: Final = Counts(rejected=1)


def counts_of(answer: Outcome) -> Counts:
    """What the answer to an order adds."""
    if answer.kind != _ADMITTED:
        return _REJECTED
    return Counts(1, 0, answer.notional_microcents, answer.fee_microcents)


@dataclass(slots=True)
class Totals:
    """The sums of a day."""

    counts: Counts = NOTHING

    def add(self, counts: Counts) -> None:
        """Adds what an order counts."""
        self.counts = Counts(*map(int.__add__, self.counts, counts))

    def fields(self) -> dict[str, int]:
        """As the report has them."""
        return self.counts._asdict()


def change_of(before: Outcome, after: Outcome) -> str | None:
    """Which of `CHANGES` it is; None where the answer is the same in all that matters."""
    if before.kind == _ADMITTED:
        if after.kind != _ADMITTED:
            return "newly_refused"
        if before.venue != after.venue:
            return "other_venue"
        return "other_fee" if before.fee_microcents != after.fee_microcents else None
    if after.kind == _ADMITTED:
        return "newly_admitted"
    is_same = (before.stage, before.reason) == (after.stage, after.reason)
    return None if is_same and after.kind != _ERROR else "other_reason"


def _said(answer: Answer) -> str:
    if isinstance(answer, ErrorReply):
        return answer.code
    return f"venue {answer.venue}" if isinstance(answer, Admit) else answer.reason


def _brief(answer: Answer) -> dict[str, Any]:
    if isinstance(answer, Admit):
        return {
            "answer": "admit",
            "reason": answer.reason,
            "venue": answer.venue,
            "fee_microcents": answer.fee_microcents,
        }
    if isinstance(answer, ErrorReply):
        return {"answer": "error", "stage": "order", "reason": answer.code, "detail": {}}
    return {
        "answer": "reject",
        "stage": answer.stage,
        "reason": answer.reason,
        "detail": dict(answer.detail),
    }


def change_fields(change: Change) -> dict[str, Any]:
    """A change as the report has it."""
    return {
        "count": change.count,
        "notional_microcents": change.notional_microcents,
        "moves": [
            {"before": before, "after": after, "count": count}
            for (before, after), count in sorted(
                change.moves.items(), key=lambda item: (-item[1], item[0])
            )
        ],
        "desks": dict(sorted(change.desks.items())),
        "examples": change.examples,
    }
