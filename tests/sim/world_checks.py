"""What the simulator's world looks at: repeats and states after a start, balances, the log at last.

A part of `sim.world`, which owns what is looked at. Raises `ViolationError`, or the oracle's own.
"""

from typing import Any

import msgspec

from guard.engine.positions import POSITION_ROW
from guard.recovery.recover import fold_log
from guard.replay.replay import replay_log
from guard_support import describe
from sim.disk import ViolationError
from sim.server import HASHER, Server

_MONEY = tuple(map(POSITION_ROW.index, ("cost_microcents", "realised_microcents")))
AUDIT_REQUESTS = 200  # in one message


class WorldChecks:
    """See the module."""

    checkpoints: Any
    clients: Any
    config: Any
    directory: Any
    disk: Any
    gateway: Any
    messages: Any
    network: Any
    note: Any
    operating: Any
    oracle: Any
    server: Any
    wall_ns: int
    _post: Any
    _known: Any

    def _audit(self) -> None:
        """Everything that was ever sent, asked for again: repeats alone, and every state."""
        seen = set()
        audit: list[dict[str, Any]] = [{"type": "ping"}]
        for request in self._known:
            identity = msgspec.json.encode(request)
            if identity in seen:
                continue
            seen.add(identity)
            status = {key: request[key] for key in ("desk", "client_order_id")}
            status["type"] = "status"
            if msgspec.json.encode(status) not in seen:
                seen.add(msgspec.json.encode(status))
                audit.append(status)
            if self.oracle.repeats(request, self.wall_ns):
                audit.append(request)
        before = self.oracle.next_sequence
        for at in range(0, len(audit), AUDIT_REQUESTS):
            part = audit[at : at + AUDIT_REQUESTS]
            number = self._post(msgspec.json.encode(part), part)
            self.network.remove(number)
            self.gateway.arrived.append((number, self.messages[number][0]))
            self.server.listen()
            self.server.advance()
        self.operating.ask_again()
        if self.oracle.next_sequence != before:
            raise ViolationError("an audit has changed something")
        if self.server.engine.next_sequence != before:
            raise ViolationError(f"{self.server.engine.next_sequence} is next, not {before}")
        self._check_state()

    def _check_state(self) -> None:
        state = self.server.engine.state
        ledger = state.ledger
        balances = {
            name: (
                ledger.remaining_microcents(name) or 0,
                ledger.reserved_microcents(name) or 0,
                ledger.committed_microcents(name) or 0,
            )
            for name in state.desks
        }
        holds = {
            hold.reservation_id: (hold.tenant_id, hold.microcents)
            for hold in ledger.export_state().holds
        }
        self.oracle.check_state(balances, holds)
        kept = state.positions
        names, symbols = {d.share: n for n, d in state.desks.items()}, list(kept.symbols)
        found = {
            (names[desk], symbols[symbol]): tuple(kept.value(row, field) for field in range(1, 5))
            for row, (desk, symbol) in ((row, kept.key_of(row)) for row in range(kept.count))
        }
        if found != self.oracle.positions.shown():
            raise ViolationError(f"positions: {found}, not {self.oracle.positions.shown()}")
        money = {
            (names[desk], symbols[symbol]): [kept.value(row, at) for at in _MONEY]
            for row, (desk, symbol) in ((row, kept.key_of(row)) for row in range(kept.count))
        }
        wanted = {key: self.oracle.positions.money.get(key, [0, 0]) for key in money}
        if money != wanted:
            raise ViolationError(f"cost and profit: {money}, not {wanted}")
        if ledger.next_reservation_id != self.oracle.next_reservation:
            raise ViolationError(f"reservation {ledger.next_reservation_id} is next")
        folded, head = fold_log(self.directory, HASHER)
        if describe(folded.state) != describe(state):
            raise ViolationError("the log does not fold into the state")
        if head.sequence != self.oracle.next_sequence - 1:
            raise ViolationError(f"the log ends with {head.sequence}")

    def _check_log(self) -> None:
        """The log of the whole history, as an auditor has it."""
        server = Server(self.directory, self.disk, self.config, self.checkpoints)
        head = server.head_on_disk()
        if head.sequence != self.oracle.next_sequence - 1:
            raise ViolationError(f"the log ends with {head.sequence}")
        replay_log(self.directory, HASHER)
        text = b"".join(path.read_bytes() for path in self.directory.glob("*.jsonl"))
        for copy in sorted(path.name for path in self.directory.glob("*.cut-*")):
            # Of a log that had not begun nothing can be logged.
            if ".cut-1-" not in copy and f'"{copy}"'.encode() not in text:
                raise ViolationError(f"no record names the cut {copy}")
        self.note(f"verified and replayed: {head.sequence} {head.entry_hash}")
