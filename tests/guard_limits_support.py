"""Configurations with limits, and orders held against them."""

from typing import Any

from guard.config.file import Config
from guard.protocol.messages import Admit, Reject
from guard_support import T0, LoggedEngine, dev_config, order

# Nothing limits, said in so many words.
WAIVED = 'quantity_max = "none"\nvalue_max = "none"\nprice_collar_bps = "none"\n'


def limits_config(text: str, *replacements: tuple[str, str]) -> Config:
    """The usual configuration, and `[limits]` of that text."""
    limits = f"[limits]\n{text}\n\n[settings]"
    return dev_config(("[settings]", limits), *replacements)


def limited(text: str, marks: dict[str, tuple[int, int]] | None = None) -> LoggedEngine:
    """A guard with such limits, of which nothing is used."""
    engine = LoggedEngine(limits_config(text))
    engine.marks = marks or {}
    return engine


def verdict(engine: LoggedEngine, at_ns: int | None = None, **changes: Any) -> Any:
    """What an order gets: `admitted`, or the reason and its detail."""
    count = len(engine.records)
    answer = engine.submit(order(f"V-{count}", **changes), at_ns)
    if isinstance(answer, Admit):
        return "admitted"
    assert isinstance(answer, Reject)
    return answer.reason, answer.detail


def limit_detail(asked: int, limit: int, used: int, scope: int) -> dict[str, int]:
    return {"asked": asked, "limit": limit, "used": used, "scope": scope}


__all__ = ["T0", "WAIVED", "limit_detail", "limited", "limits_config", "verdict"]
