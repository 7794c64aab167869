"""What a guard states of a day at its end: balances, policy and configuration. Pure.

Owns the statement that a `day_closed` record binds by its digest, from the state alone, so that a
start and a replay come to the same one (`guard.engine.apply_event`) and a certificate can be held
against a log (`guard.audit.day_certificate`). Its form is versioned by its first word.
"""

import hashlib
from typing import Any, Final

import msgspec

from guard.engine.actor import Actor
from guard.engine.events import DayClosed
from guard.engine.state import GuardState
from guard.protocol.limits import digest_hex as limits_digest_hex

STATEMENT: Final = "pretrade-guard.day-statement.v1"


def statement_of(state: GuardState, day: str) -> list[Any]:
    """The statement behind the last record that is applied. Money in microcents."""
    desks = []
    for name in sorted(state.desks):
        line, desk = state.ledger.line(name), state.desks[name]
        assert line is not None  # opened with the desk
        balances = [line.initial, line.reserved, line.committed, line.remaining]
        desks.append([name, *balances, desk.unpaid_fees_microcents])
    return [
        STATEMENT,
        state.log_id,
        day,
        state.next_sequence - 1,
        state.rules_version,
        state.currency,
        state.policy_digest_hex,
        configuration_digest_hex(state),
        state.ledger.active_reservations,
        desks,
    ]


def statement_digest_hex(state: GuardState, day: str) -> str:
    """The SHA-256 of the statement as compact JSON."""
    return _digest_hex(statement_of(state, day))


def closed_event(state: GuardState, actor: Actor, day: str, action_id: str) -> DayClosed:
    """The event that closes the day behind the last record that is applied."""
    return actor.event(
        DayClosed,
        day=day,
        closes_sequence=state.next_sequence - 1,
        statement_digest_hex=statement_digest_hex(state, day),
        action_id=action_id,
    )


def configuration_digest_hex(state: GuardState) -> str:
    """Of the settings, instruments, desks' terms and accounts in force; the policy has its own."""
    return _digest_hex(
        [
            state.currency,
            state.remembered_orders_max,
            state.remembered_order_window_ns,
            state.refuses_unknown_venues,
            [
                [one.symbol, one.tick_size, one.lot_size, one.multiplier]
                for _, one in sorted(state.instruments.items())
            ],
            [
                [
                    name,
                    state.ledger.max_reserved_microcents(name),
                    desk.max_order_age_ms,
                    desk.fee_bound_bps,
                    desk.fee_minimum_microcents,
                ]
                for name, desk in sorted(state.desks.items())
            ],
            limits_digest_hex(state.limits.tree) if state.limits.tree else None,
            *([state.accounts.entries()] if len(state.accounts) else []),
        ]
    )


def _digest_hex(content: list[Any]) -> str:
    return hashlib.sha256(msgspec.json.encode(content)).hexdigest()
