"""How much of what is random a test plays, by the form that is tested.

The interpreted form takes about ten times as long, and decides by the same source: it plays a
quarter of what the compiled one does, and the first examples are the same.
"""

from typing import Final

from kernel import KERNEL_FORM

INTERPRETED_SHARE: Final = 4


def played(count: int) -> int:
    """So many examples, histories or seeds; a quarter of them, one at least, interpreted."""
    if KERNEL_FORM == "compiled":
        return count
    return max(1, count // INTERPRETED_SHARE)
