"""The way of requests on a log of its own, at times that a test says, and what it is asked."""

import json
from pathlib import Path
from typing import Any

import msgspec

from guard.config.activation import opening_events
from guard.config.file import Config
from guard.engine.engine import Engine
from guard.replay.replay import replay_log
from guard.server.counters import Counters
from guard.server.late_replies import LateReplies
from guard.server.request_path import RequestPath, record_event
from guard_support import KEY, LOG_ID, T0, actor, opened_under
from guard_wire_support import ORDER
from wal import EMPTY_HEAD, ChainHasher, LogWriter


class Guard:
    """The way of requests on a log of its own, at times that a test says."""

    def __init__(self, directory: Path, config: Config, rules_version: int = 3) -> None:
        hasher = ChainHasher(KEY)
        self.directory, self.hasher = directory, hasher
        self.writer = LogWriter.open(directory, hasher, EMPTY_HEAD, monotonic_ns=lambda: 0)
        self.engine = Engine()
        for event in opening_events(config, actor(), LOG_ID, hasher.key_id):
            record_event(self.engine, self.writer, opened_under(rules_version, event))
        self.now_ns = T0
        self.system_ns = 0  # where the system's clock says something else
        self.path = RequestPath(
            self.engine,
            self.writer,
            Counters(),
            lambda: self.now_ns,
            system_ns=lambda: self.system_ns or self.now_ns,
        )

    def ask(self, *requests: Any) -> Any:
        body = requests[0] if len(requests) == 1 else list(requests)
        answer = self.path.answer(json.dumps(body).encode(), 1)
        assert not isinstance(answer, LateReplies)
        return msgspec.json.decode(answer)

    def end(self) -> list[bytes]:
        """Closes the log, decides it again, and gives its lines."""
        self.writer.sync_now()
        self.writer.close()
        replay_log(self.directory, self.hasher)
        (segment,) = self.directory.glob("*.jsonl")
        return segment.read_bytes().splitlines()


def order(name: str, **changes: Any) -> dict[str, Any]:
    return {**ORDER, "client_order_id": name, "quantity": 1, **changes}


def mark(price: int, symbol: str = "AAPL", **more: Any) -> dict[str, Any]:
    return {"type": "mark", "symbol": symbol, "price": price, **more}
