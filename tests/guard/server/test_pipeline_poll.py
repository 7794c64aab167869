"""The pipeline looks for the next message before its loop sleeps."""

import asyncio
from pathlib import Path
from typing import Any

from pipeline_support import guarding
from protocol_client import ProtocolClient, order


async def test_the_next_message_is_looked_for_before_the_loop_sleeps(tmp_path: Path) -> None:
    async with guarding(tmp_path / "log", on_loop=True, busy_poll_ns=50_000_000) as guard:
        with ProtocolClient(guard.gateway.endpoint) as client:

            def converse() -> list[Any]:
                replies = []
                for number in range(20):
                    client.send(order(f"A-{number}"))
                    replies.append(client.receive()["client_order_id"])
                return replies

            assert await asyncio.to_thread(converse) == [f"A-{number}" for number in range(20)]
            polled = guard.pipeline.counters.turns_polled
            assert polled > 0
            # It sleeps in the end, and is woken as before.
            await asyncio.sleep(0.1)
            client.send(order("B-1"))
            assert (await asyncio.to_thread(client.receive))["client_order_id"] == "B-1"
            assert guard.pipeline.counters.turns_polled == polled
