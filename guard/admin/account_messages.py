"""The messages about accounts. Pure.

A part of `guard.admin.messages`, which names them all.
"""

from typing import Annotated

from msgspec import UNSET, Meta, Struct

from guard.admin.message_base import PAGE_MAX, Action, Query
from guard.protocol.messages import RequestId
from guard.protocol.ranges import DeskName, ScopeName


class SetAccount(Action, tag="set_account"):
    """A desk has that account, which is that customer's; empty: nobody's."""

    account: DeskName
    desk: DeskName
    customer: ScopeName = ""


class ListAccounts(Query, tag="accounts"):
    """Accounts by name, behind `after`."""

    desk: DeskName | None = None
    after: ScopeName = ""
    limit: Annotated[int, Meta(ge=1, le=PAGE_MAX)] = PAGE_MAX


class AccountLine(Struct):
    """An account; `customer`: empty where it is nobody's."""

    account: str
    desk: str
    customer: str


class AccountsReply(Struct, tag="accounts", tag_field="type"):
    """A page of accounts; `next_after`: where the next page begins, null behind the last one."""

    accounts: list[AccountLine]
    next_after: str | None
    head_sequence: int
    request_id: RequestId = UNSET
