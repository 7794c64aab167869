"""The money of a `[[desks]]` section, from its text. Pure.

How it fails: ValueError, which names the key, the value and what is allowed.
"""

from typing import Final

from guard.protocol.instruments import parse_money_microcents

NO_CAP: Final = "none"


def fee_minimum(text: str | None, fee_bound_bps: int | None) -> int:
    """What a fee is charged up to at least."""
    if text is None:
        return 0
    if fee_bound_bps is None:
        raise ValueError("fee_minimum: allowed only with fee_bound_bps, which it is added to")
    return parse_money_microcents(text, "fee_minimum")


def exposure_cap(text: str) -> int | None:
    """The cap of open holds; None for none."""
    if text == NO_CAP:
        return None
    cap = parse_money_microcents(text, "exposure_cap")
    if cap == 0:
        raise ValueError(
            f'exposure_cap: {text!r} is not allowed; allowed: above zero, or "none" for no cap'
        )
    return cap
