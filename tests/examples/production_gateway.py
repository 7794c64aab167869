"""A gateway in production: configure, decide, verify, hold, log, checkpoint, crash, recover.

    python tests/examples/production_gateway.py [DIRECTORY]

DIRECTORY keeps what it writes: it is made, or empty; without it nothing is kept.

The order matters. A decision is verified before money is held; its record is durable before anyone
is answered; a checkpoint stands for a record of the log; a recovery counts what came after it.
"""

import json
import sys
import tempfile
from pathlib import Path

from guard.audit import (
    AuditedLog,
    DecisionEngine,
    checkpoint_with_wal,
    entries_to_replay,
    recovery_plan,
    replay_audited_wal,
    restore,
)
from kernel import (
    BudgetEngine,
    EngineConfig,
    KernelInput,
    KernelInputBuilder,
    KernelModelBuilder,
    PolicySnapshot,
    ProofEnvelope,
    Reserved,
)
from wal import read_anchor, write_anchor

KEY = bytes(range(32))  # in production: from a file that only the service reads
CONFIG = EngineConfig.from_dict(
    {
        "hard_risk_limit_bps": 9_000,
        "tenants": [
            {
                "tenant_id": "team-search",
                "budget_microcents": 2_000_000,
                "max_reserved_microcents": 200_000,
            },
            {"tenant_id": "team-mail", "budget_microcents": 40_000},
        ],
    }
)


def build_policy() -> PolicySnapshot:
    builder = CONFIG.policy_builder(policy_epoch=1, catalog_epoch=1)
    for model_id, quality_bps, latency_ms, rate in (
        (1, 9_600, 800, 9_000_000),
        (2, 8_500, 150, 1_500_000),
    ):
        model = KernelModelBuilder(model_id, model_id).quality(quality_bps).risk_ceiling(8_000)
        model.latency(latency_ms).cost(
            input_microunits_per_million_tokens=rate,
            output_microunits_per_million_tokens=4 * rate,
        )
        builder.model(model.build())
    return builder.build()


def request_of(sequence: int) -> KernelInput:
    builder = KernelInputBuilder(sequence, requested_model_id=1 + sequence % 2)
    builder.tokens(input_tokens=1_000, output_tokens=200 * sequence)
    builder.value(500_000).budget(150_000)
    return builder.risk(risk_bps=100 * sequence, confidence_bps=8_000).build()


def serve(engine: DecisionEngine, log: AuditedLog, sequence: int, tenant: str) -> ProofEnvelope:
    """One request: decided, verified, held, logged, durable, and only then answered."""
    request = request_of(sequence)
    decision = engine.prescribe(request)
    if not engine.verify(request, decision).is_valid:
        raise SystemExit("the kernel contradicts itself: nothing is served any more")
    cost, spent = decision.estimated_cost_microunits, 0
    outcome, hold = engine.try_reserve(tenant, cost) if decision.is_executable else (None, None)
    if hold is not None:
        engine.commit(hold, cost)  # here the model is called, and what it cost is spent
        spent = cost
    status = "refused" if outcome is None else outcome.status
    metadata = {"tenant": tenant, "status": status, "hold": hold, "spent_microcents": spent}
    entry = log.append_verified_audited(engine.policy, request, decision, metadata)
    log.sync()
    print(
        f"{sequence}: {tenant}, {decision.action.snake}, {status}"
        f"{'' if isinstance(outcome, Reserved) else ', nothing spent'}"
    )
    return engine.proof_envelope(request, decision, entry.sequence, entry.entry_hash)


def recover(directory: Path) -> BudgetEngine:
    """The ledger as it was: the checkpoint, and what the log says was spent after it."""
    anchor = read_anchor(directory / "anchor.json")
    plan = recovery_plan(directory / "ledger.json", directory / "log", KEY, anchor)
    print(f"{plan.entries_to_replay} of {plan.total_entry_count} records came after the checkpoint")
    entries = entries_to_replay(plan, directory / "log", KEY)
    counted = [json.loads(entry.data)["metadata"] for entry in entries]
    last_hold = max((each["hold"] for each in counted if each["hold"]), default=None)
    ledger = restore(directory / "ledger.json", last_hold and last_hold + 1)  # no number twice
    CONFIG.ensure_tenants(ledger)  # a snapshot has no caps
    for each in counted:
        ledger.charge(each["tenant"], each["spent_microcents"])
    return ledger


def main(directory: Path) -> tuple[BudgetEngine, BudgetEngine, list[ProofEnvelope]]:
    directory.mkdir(parents=True, exist_ok=True)
    if any(directory.iterdir()):
        raise SystemExit(f"{directory}: is not empty; give a directory that is, or a new one")
    engine = DecisionEngine(build_policy(), CONFIG.open_ledger())
    tenants = ("team-search", "team-mail")
    with AuditedLog.open(directory / "log", KEY) as log:
        proofs = [serve(engine, log, n, tenants[n % 2]) for n in range(1, 5)]
        checkpoint_with_wal(
            directory / "ledger.json", engine.ledger, log.durable_head.sequence,
            is_recovery_aware=True,
        )  # fmt: skip
        proofs += [serve(engine, log, n, tenants[n % 2]) for n in range(5, 9)]
        write_anchor(directory / "anchor.json", log.anchor())  # in production: on another machine
        log.close(sync=False)  # as a crash does

    recovered = recover(directory)
    for tenant in tenants:
        assert recovered.remaining_microcents(tenant) == engine.ledger.remaining_microcents(tenant)
    replay = replay_audited_wal(directory / "log", engine.policy, KEY)
    print(f"{replay.record_count} decisions made again, all the same; the head is {replay.head}")
    assert all(proof.is_complete for proof in proofs)
    return engine.ledger, recovered, proofs


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(Path(temporary))
