"""Who uses most of each key of limits, as a page and a terminal show it. Pure."""

from collections.abc import Iterable
from typing import Any

from guard.admin.messages import LimitUse
from guard.audit.limit_tables import limit_value, limit_words, said_words, user_words


def limit_rows(uses: Iterable[LimitUse]) -> list[dict[str, Any]]:
    """A row each, in their order, as text; `use_per_mille` is null where nothing is allowed."""
    return [
        {
            "limit": limit_words(use.limit),
            "said_by": said_words(use.said),
            "used_by": user_words({"said": use.said, "desk": use.desk, "symbol": use.symbol}),
            "use_per_mille": use.used * 1_000 // use.bound if use.bound > 0 else None,
            "used": limit_value(use.limit, use.used),
            "bound": limit_value(use.limit, use.bound),
        }
        for use in uses
    ]
