"""What still arrives after the last reply of a service, until its clients have theirs.

Owns that wait and its bounds. A connection that is closed over unread requests is reset, and a
reset takes with it what the client has not fetched yet of its replies. So what arrives late is read
and forgotten: it was not decided, is not answered, and is counted.

How it fails: as the gateway does.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from guard.server.counters import Counters
from guard.server.listener import Listener

# A client that has fetched its replies sends no more within the silence; one that never ends
# sending, or does not read, is given up after the whole time.
LATE_SILENCE_NS: Final = 100_000_000
LATE_NS_MAX: Final = 2_000_000_000
LATE_MESSAGES_MAX: Final = 256  # a turn of the loop
LATE_PAUSE_S: Final = 0.002


async def discard_late(
    gateway: Listener, counters: Counters, monotonic_ns: Callable[[], int]
) -> None:
    """Until no more arrives and all replies have left."""
    now_ns = monotonic_ns()
    end_ns, heard_ns = now_ns + LATE_NS_MAX, now_ns
    backlog = gateway.backlog
    while now_ns < end_ns and (backlog.bytes or now_ns < heard_ns + LATE_SILENCE_NS):
        count = gateway.discard(LATE_MESSAGES_MAX)
        counters.messages_discarded += count
        await asyncio.sleep(0 if count else LATE_PAUSE_S)
        now_ns = monotonic_ns()
        if count:
            heard_ns = now_ns
