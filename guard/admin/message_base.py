"""What every action and every query of the admin protocol begins with. Pure.

A part of `guard.admin.messages`, which names them all.
"""

from typing import Annotated, Final, TypeAlias

from msgspec import UNSET, Meta, Struct

from guard.protocol.messages import RequestId
from guard.protocol.ranges import ActionId

WHY_LENGTH_MAX: Final = 256
PAGE_MAX: Final = 500

Why: TypeAlias = Annotated[str, Meta(pattern=rf"^[^\x00-\x1f\x7f]{{1,{WHY_LENGTH_MAX}}}\Z")]
Who: TypeAlias = Annotated[str, Meta(pattern=r"^[!-~]([ -~]{0,62}[!-~])?\Z")]


class Action(Struct, tag_field="type", forbid_unknown_fields=True, kw_only=True):
    """What every action says: its own name, under which it is done once; why; who, where the
    endpoint does not know it. `dry_run`: say what would change, and change nothing.
    """

    action_id: ActionId
    why: Why
    by: Who | None = None
    dry_run: bool = False
    request_id: RequestId = UNSET


class Query(Struct, tag_field="type", forbid_unknown_fields=True, kw_only=True):
    """What every query may say."""

    request_id: RequestId = UNSET
