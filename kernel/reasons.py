"""The numbered actions, reasons and gates of a decision.

Owns: the codes that the format gives them (an auditor reads them years later, so a number is never
reused and never moves), and their two spellings: `snake_case` for people and replies, `CamelCase`
for the records of a log.

Must not: decide anything. Fails: a name or number that is none of these is a `KernelInputError`.
"""

from enum import IntEnum
from typing import TypeVar

from kernel.errors import KernelInputError


class Action(IntEnum):
    """What the decision says to do. Stored as a u8."""

    EXECUTE_REQUESTED = 1
    SUBSTITUTE = 2
    REJECT = 3

    @property
    def snake(self) -> str:
        """The name for people and replies: `execute_requested`."""
        return self.name.lower()

    @property
    def camel(self) -> str:
        """The name in a log's records: `ExecuteRequested`."""
        return camel_of_snake(self.name.lower())


class Reason(IntEnum):
    """Why. Stored as a u16: 1 to 99 for selections, from 100 for rejections."""

    REQUESTED_MODEL_MAXIMIZES_UTILITY = 1
    ALTERNATIVE_MAXIMIZES_UTILITY = 2
    RISK_HARD_LIMIT = 100
    CONFIDENCE_HARD_LIMIT = 101
    NO_ENABLED_MODEL = 102
    QUALITY_CONSTRAINT = 103
    LATENCY_CONSTRAINT = 104
    CAPABILITY_CONSTRAINT = 105
    PROVIDER_CONSTRAINT = 106
    REGION_CONSTRAINT = 107
    BUDGET_CONSTRAINT = 108
    NON_POSITIVE_UTILITY = 109
    RISK_CEILING_CONSTRAINT = 110

    @property
    def snake(self) -> str:
        """The name for people and replies: `risk_hard_limit`."""
        return self.name.lower()

    @property
    def camel(self) -> str:
        """The name in a log's records: `RiskHardLimit`."""
        return camel_of_snake(self.name.lower())


# The order in which a model meets the gates. It is counted under the first that it fails.
GATES = (
    "disabled",
    "quality",
    "latency",
    "capability",
    "provider",
    "region",
    "risk_ceiling",
    "budget",
    "utility",
)

# The order in which a trace lists the same gates (the format's, and that of an output row).
TRACE_GATES = (
    "disabled",
    "quality",
    "risk_ceiling",
    "latency",
    "capability",
    "provider",
    "region",
    "budget",
    "utility",
)

# The gate with the most models gives a rejection its reason; among equals the later one here.
REJECTION_PRECEDENCE = (
    "capability",
    "region",
    "provider",
    "quality",
    "risk_ceiling",
    "latency",
    "budget",
    "utility",
    "disabled",
)

GATE_REASONS = {
    "disabled": Reason.NO_ENABLED_MODEL,
    "quality": Reason.QUALITY_CONSTRAINT,
    "risk_ceiling": Reason.RISK_CEILING_CONSTRAINT,
    "latency": Reason.LATENCY_CONSTRAINT,
    "capability": Reason.CAPABILITY_CONSTRAINT,
    "provider": Reason.PROVIDER_CONSTRAINT,
    "region": Reason.REGION_CONSTRAINT,
    "budget": Reason.BUDGET_CONSTRAINT,
    "utility": Reason.NON_POSITIVE_UTILITY,
}


def camel_of_snake(name: str) -> str:
    """`risk_hard_limit` -> `RiskHardLimit`."""
    return "".join(word.capitalize() for word in name.split("_"))


ACTION_OF_CODE = {int(action): action for action in Action}
ACTION_OF_SNAKE = {action.snake: action for action in Action}
ACTION_OF_CAMEL = {action.camel: action for action in Action}
REASON_OF_CODE = {int(reason): reason for reason in Reason}
REASON_OF_SNAKE = {reason.snake: reason for reason in Reason}
REASON_OF_CAMEL = {reason.camel: reason for reason in Reason}

_Code = TypeVar("_Code", Action, Reason)


def _find(key: object, by_code: dict[int, _Code], by_name: dict[str, _Code], what: str) -> _Code:
    found: _Code | None = None
    if isinstance(key, int) and not isinstance(key, bool):
        found = by_code.get(key)
    elif isinstance(key, str):
        found = by_name.get(key)
    if found is None:
        allowed = ", ".join(f"{member.snake} ({code})" for code, member in by_code.items())
        raise KernelInputError(f"{what} is {key!r}; must be one of {allowed}")
    return found


def action_of(key: object) -> Action:
    """The action of a code, a `snake_case` name or a `CamelCase` name."""
    return _find(key, ACTION_OF_CODE, ACTION_OF_SNAKE | ACTION_OF_CAMEL, "action")


def reason_of(key: object) -> Reason:
    """The reason of a code, a `snake_case` name or a `CamelCase` name."""
    return _find(key, REASON_OF_CODE, REASON_OF_SNAKE | REASON_OF_CAMEL, "reason")
