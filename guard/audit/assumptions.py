"""What a what-if assumes of orders that only the other rules admit, in numbers and words. Pure."""

from typing import Any, Final

from guard.audit.lives import ANY_DESK, NEVER, SAME_DESK, Guess

_REPLACED: Final = {
    SAME_DESK: "when an order of the same desk, symbol, side and size came in its place",
    ANY_DESK: "when an order of the same symbol, side and size came in its place, of any desk",
}
_LIKE_OF: Final = {
    SAME_DESK: "of the same desk where it has one, of the same",
    ANY_DESK: "of any desk, of the same",
}


def assumption_fields(sources: dict[str, int], guess: Guess) -> dict[str, Any]:
    """The members `assumption` and `assumed` of a report's `what_if`.

    `sources`: of how many orders what was assumed; `guess`: how ends are guessed.
    """
    return {
        "assumption": _sentence(sources, guess),
        "assumed": {
            "newly_admitted": sum(sources.values()),
            "ended_as_replaced": sources["replaced"],
            "ended_as_like_order": sources["like"],
            "held_to_the_end": sources["none"],
            "like_orders_of": guess.like_of,
            "replaced_by_orders_of": None if guess.replaced_by == NEVER else guess.replaced_by,
            "replaced_within_ns": guess.wait_max_ns or None,
        },
    }


def _sentence(sources: dict[str, int], guess: Guess) -> str:
    count = sum(sources.values())
    if count == 0:
        return (
            "No order is admitted that the day had refused: nothing is assumed, and what is "
            "recorded of the admitted orders happens as recorded."
        )
    ends = []
    if sources["replaced"]:
        ends.append(
            f"{sources['replaced']:,} are canceled {_REPLACED[guess.replaced_by]}, with no cancel "
            "before it"
        )
    if sources["like"]:
        ends.append(
            f"{sources['like']:,} are filled and canceled as, and after as long as, the admitted "
            f"order most like each ({_LIKE_OF[guess.like_of]} symbol, side and type, nearest in "
            "size, price and time)"
        )
    if sources["none"]:
        ends.append(f"{sources['none']:,}, which none is like, hold to the end")
    return (
        f"Of the {count:,} orders that only now are admitted no end is recorded. Of these, "
        f"{'; '.join(ends)}. At the least and at the most: what comes out where such orders hold "
        "to the end, and where they, and recorded ones that may then not fit, release at once."
    )
