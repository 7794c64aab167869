"""What the compiler is told about a branch: where it goes as a rule.

Owns: two functions that give back what they get. Compiled, they come from `hints.pxd` beside this
file, and a loop keeps its values in registers on the way that is taken as a rule.

Must not: change what the code means. A wrong hint costs time and nothing else.
"""


def likely(condition: bool) -> bool:
    """The condition, which holds as a rule."""
    return condition


def unlikely(condition: bool) -> bool:
    """The condition, which as a rule does not hold."""
    return condition
