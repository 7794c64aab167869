"""What a holder of slices says to the firm's table in PostgreSQL, and what it is told. Pure.

Owns the call of `firm_answer` (`guard/data/slices.sql`): a message's arguments, and the answer that
a row is, in the types of `guard.cluster.slices`. One call is one transaction; it is answered when
that has committed on the quorum, as a batch of the log is (`guard.cluster.session`).
"""

from collections.abc import Mapping
from typing import Any, Final, get_args

from guard.cluster.slices import (
    Answer,
    Ask,
    Granted,
    Message,
    Refused,
    RefusedCode,
    TakenBack,
)

# $1 to $6: see `arguments_of`; $7 and $8 the settings of synchronous replication.
ANSWER: Final = (
    "SELECT code, amount, wanted_back, last_number "
    "FROM pretrade_guard.firm_answer($1, $2, $3, $4, $5, $6, $7, $8)"
)
SET_TOTAL: Final = "SELECT pretrade_guard.firm_set_total($1, $2)"
# The call took no effect: replication is not as the configuration demands.
SETTINGS_CODE: Final = "settings"
_CODES: Final[tuple[RefusedCode, ...]] = get_args(RefusedCode)


def arguments_of(message: Message) -> tuple[object, ...]:
    """The first six arguments of `ANSWER`."""
    direction = "grant" if isinstance(message, Ask) else "return"
    return (
        direction,
        message.holder,
        message.epoch,
        message.resource,
        message.number,
        message.amount,
    )


def answer_of(message: Message, row: Mapping[str, Any]) -> Answer | None:
    """The answer that a row is; None where the settings did not hold, and nothing was done."""
    code = row["code"]
    if code == SETTINGS_CODE:
        return None
    for known in _CODES:
        if code == known:
            what = f"number {message.number} of {message.amount}, epoch {message.epoch}"
            return Refused(message, known, f"{what}; the table's last is {row['last_number']}")
    if isinstance(message, Ask):
        return Granted(message, row["amount"], row["wanted_back"])
    return TakenBack(message, row["wanted_back"])
