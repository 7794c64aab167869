"""The oracle's part about self-match: which open orders an order may meet (PROTOCOL, 3.5).

Where an order goes is the kernel's choice, which the oracle takes over once it is told; until then
it keeps the answers of all orders of the other side whose prices cross.
"""

from collections.abc import Iterable

from sim.tables import Reply


def crossing(content: Reply, orders: Iterable[Reply]) -> list[Reply]:
    """The answers to the open orders that this one could trade against, at their venues."""
    found = []
    for order in orders:
        other = order["content"]
        if not _works(order) or other["symbol"] != content["symbol"]:
            continue
        if other["side"] == content["side"]:
            continue
        buy, sell = (content, other) if content["side"] == "buy" else (other, content)
        if buy["price"] >= sell["price"]:
            found.append(order["answer"])
    return found


def _works(order: Reply) -> bool:
    """May it trade? In a chain of replaces the one that stands may, and the one that waits."""
    chain = order.get("chain")
    if chain is None:
        return bool(order["state"] == "open")
    return chain["first"]["state"] == "open" and any(
        order is each for each in (chain["stands"], chain["waits"])
    )


def flag_of(meeting: list[Reply], venue: int, found: Reply) -> Reply:
    """What an admit says of it. Where some venue was never told, what it says itself."""
    venues = {answer["venue"] for answer in meeting}
    if venue in venues or (None in venues and found.get("self_match") is True):
        return {"self_match": True}
    return {}
