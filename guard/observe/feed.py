"""Durable records from a daemon's feed (`guard/FEED.md`), wherever it runs.

Owns a subscription, and the credit that bounds what is under way: an observer that does not keep up
has no credit, and costs the daemon nothing. The client itself connects again where a connection
breaks, and goes on behind the last record that came.

How it fails: `SourceError` where nothing comes, not even heartbeats, or what comes does not chain;
`GapError` where the records to go on with are archived.
"""

from collections.abc import AsyncIterator
from typing import Final

import zmq

from guard.admin.messages import HealthReply
from guard.client.errors import GuardClientError
from guard.client.feed import AsyncFeedClient
from guard.client.feed_session import FeedRefusedError
from guard.client.options import CurveKeys
from guard.observe.watch import GapError, SourceError

# Heartbeats come every second.
SILENCE_S: Final = 10.0
CREDIT_LINES: Final = 4_096
# The records to go on with are not there: archived, or lost with the log's end.
_GONE: Final = ("gone", "not_there")


class Feed:
    """The feed at an endpoint."""

    def __init__(
        self, endpoint: str, curve: CurveKeys | None = None, silence_s: float = SILENCE_S
    ) -> None:
        """`curve`: where the daemon asks for keys, those of a client with all desks' records."""
        self._endpoint = endpoint
        self._curve = curve
        self._silence_s = silence_s

    async def follow(self, first_sequence: int, _health: HealthReply) -> AsyncIterator[list[bytes]]:
        """As `guard.observe.watch.Source` says."""
        try:
            async with AsyncFeedClient(
                self._endpoint,
                after_sequence=first_sequence - 1,
                credit_lines=CREDIT_LINES,
                curve=self._curve,
            ) as feed:
                while True:
                    batch = await feed.next_batch(self._silence_s)
                    yield batch.lines.splitlines(keepends=True)
        except FeedRefusedError as error:
            raise (GapError if error.code in _GONE else SourceError)(str(error)) from error
        except (GuardClientError, zmq.ZMQError) as error:
            raise SourceError(str(error)) from error
