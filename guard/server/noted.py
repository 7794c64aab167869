"""What requests have said that an operator is told of at the next beat: the first few of each.

Owns fills whose fee was not charged, and executions of orders that are not known. The log has them
all; here is no more than one second's, and what is beyond is not told one by one.
"""

from typing import Final

from guard.protocol.request import Request

TOLD_MAX: Final = 8  # of one second


class Noted:
    """Of one daemon. `uncharged`: name and fee. `strays`: name and venue."""

    def __init__(self) -> None:
        self.uncharged: list[tuple[str, int]] = []
        self.strays: list[tuple[str, int]] = []

    def note_uncharged(self, fill: Request) -> None:
        """A fill whose fee was not charged."""
        if len(self.uncharged) < TOLD_MAX:
            self.uncharged.append((_name(fill), fill.fee_microcents))

    def note_stray(self, execution: Request) -> None:
        """An execution of an order that is not known: it moves nothing."""
        if len(self.strays) < TOLD_MAX:
            self.strays.append((_name(execution), execution.venue))

    def take_uncharged(self) -> list[tuple[str, int]]:
        """Those since this was asked last."""
        uncharged, self.uncharged = self.uncharged, []
        return uncharged

    def take_strays(self) -> list[tuple[str, int]]:
        """Those since this was asked last."""
        strays, self.strays = self.strays, []
        return strays


def _name(fact: Request) -> str:
    return f"{fact.desk}/{fact.client_order_id}/{fact.fill_id}"
