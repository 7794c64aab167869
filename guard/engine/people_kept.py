"""What a state keeps of what people propose and loosen. Plain data; pure.

Owns the shape alone. What it means and how it changes, `guard.engine.people` says.
"""

from typing import Any, NamedTuple

from guard.engine.people_events import ApprovalsSet, Proposed


class Loosened(NamedTuple):
    """What was loosened until then. `base`: what it reverts to: the tree of limits, the policy's
    content, a cap (0: none); of a budget how much of the grant is but for that time.
    """

    until_ns: int
    base: Any


class People:
    """`terms`: those in force; None where one person does whatever an operator may.

    `pending`: proposals by their own action's id. `loosened`: by what, and of which desk.
    `overrides`: by their orders' digests (`guard.engine.overrides`). `used`: the record that has
    used one up last, and the event of that: not kept in checkpoints.
    """

    def __init__(self) -> None:
        self.terms: ApprovalsSet | None = None
        self.pending: dict[str, Proposed] = {}
        self.loosened: dict[tuple[str, str], Loosened] = {}
        self.overrides: dict[str, Any] = {}
        self.used: tuple[int, Any] | None = None
