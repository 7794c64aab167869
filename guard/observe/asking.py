"""Asks a daemon's admin endpoint without holding up who asks.

Owns one connection and the thread that waits at it. Requests go one after another; the endpoint is
the daemon's loop, which takes orders meanwhile, so what is asked is small: desks come in short
pages.

How it fails: `AdminTimeoutError` where no answer came, `AdminRefusedError`; the next request is
asked all the same, of whoever is there then.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from guard.admin.messages import AnyRequest, DeskLine, ListDesks
from guard.client.admin import AdminClient

# Of the daemon's loop: a page of so many desks takes it some 0.2 ms, between two turns for orders.
DESKS_PER_PAGE: Final = 100
DESKS_MAX: Final = 100_000


class Asker:
    """One daemon's admin endpoint."""

    def __init__(self, client: AdminClient) -> None:
        """`client`: from here on this one's alone."""
        self._client = client
        self._thread = ThreadPoolExecutor(1, "admin")

    async def ask(self, query: AnyRequest) -> Any:
        """The reply. Raises AdminTimeoutError, AdminRefusedError."""
        return await asyncio.get_running_loop().run_in_executor(
            self._thread, self._client.ask, query
        )

    async def desks(self) -> list[DeskLine]:
        """Every desk. Raises as `ask`."""
        found: list[DeskLine] = []
        after: str | None = ""
        while after is not None and len(found) < DESKS_MAX:
            page = await self.ask(ListDesks(after=after, limit=DESKS_PER_PAGE))
            found += page.desks
            after = page.next_after
        return found

    def close(self) -> None:
        """Ends the connection, once what is asked is answered or given up."""
        self._thread.submit(self._client.close)
        self._thread.shutdown(wait=True)
