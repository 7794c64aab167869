"""Ledger throughput: holds, commits and releases over many desks, and the proof that it adds up.

python tests/examples/ledger_throughput.py [ORDERS [DESKS]]
"""

import sys
import time

from kernel import BudgetEngine, ConservationProof, EngineConfig, FinancialCertificate

BUDGET = 10**15
CAP = 10**13


def run(ledger: BudgetEngine, orders: int, desks: list[str]) -> int:
    """Each order holds an amount; a third is spent, a third released, a third stays open."""
    held = 0
    for number in range(orders):
        desk = desks[number % len(desks)]
        amount = 1 + number * 7_919 % 1_000_000
        _, hold = ledger.try_reserve(desk, amount)
        if hold is None:
            continue
        held += 1
        if number % 3 == 0:
            ledger.commit(hold, amount // 2)
        elif number % 3 == 1:
            ledger.release(hold)
    return held


def main(
    orders: int = 300_000, desk_count: int = 1_000
) -> tuple[int, ConservationProof, FinancialCertificate]:
    config = EngineConfig()
    for number in range(desk_count):
        config = config.with_tenant(f"desk-{number:05}", BUDGET, CAP)
    ledger = config.open_ledger()
    desks = ledger.tenant_ids()
    started_ns = time.perf_counter_ns()
    held = run(ledger, orders, desks)
    order_ns = (time.perf_counter_ns() - started_ns) // orders
    started_ns = time.perf_counter_ns()
    proof, certificate = ledger.prove_conservation(), ledger.certify_ledger()
    proof_us = (time.perf_counter_ns() - started_ns) // 1_000
    print(f"{orders:,} orders over {desk_count:,} desks: {held:,} held, {order_ns} ns an order")
    print(f"a proof and a certificate over all of them: {proof_us:,} us")
    print(
        f"{proof.active_reservations:,} holds open, balanced: {certificate.conservation_balanced}"
    )
    print(f"ledger {proof.ledger_digest_hex}")
    return held, proof, certificate


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
