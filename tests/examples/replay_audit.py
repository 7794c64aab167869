"""An audit: a log and a receipt are checked by someone who does not run the system.

    python tests/examples/replay_audit.py [DIRECTORY]

DIRECTORY keeps what it writes: it is made, or empty; without it nothing is kept.

The auditor has the log, its key, the policy with its signature, and the signer's public key. What
was changed is found, also where whoever changed it has made the chain fit again.
"""

import json
import sys
import tempfile
from pathlib import Path

from guard.audit import (
    AuditedLog,
    DecisionMismatch,
    DecisionReceipt,
    ReceiptError,
    ReceiptWal,
    SignedPolicy,
    issue_receipt,
    public_key_from_signing_key,
    replay_audited_wal,
    sign_policy,
)
from kernel import EngineConfig, KernelInput, KernelInputBuilder, KernelModelBuilder, PolicySnapshot
from wal import ChainHasher, WalDamage, encode_line

KEY = b"a log key of at least 32 bytes !"
SIGNING_KEY = bytes(range(32))  # the risk officer's, not the operator's
SIGNED_AT_MS = 1_790_000_000_000


def build_policy() -> PolicySnapshot:
    builder = EngineConfig().policy_builder(policy_epoch=4, catalog_epoch=9)
    for model_id in (1, 2, 3):
        model = KernelModelBuilder(model_id, model_id).quality(9_000 - 500 * model_id)
        model.risk_ceiling(9_000).latency(100 * model_id).cost(
            input_microunits_per_million_tokens=1_000_000 // model_id,
            output_microunits_per_million_tokens=4_000_000 // model_id,
        )
        builder.model(model.build())
    return builder.build()


def request_of(sequence: int) -> KernelInput:
    builder = KernelInputBuilder(sequence, 1 + sequence % 3).value(100_000 * sequence)
    builder.tokens(input_tokens=500 * sequence, output_tokens=100 * sequence)
    return builder.budget(50_000).risk(risk_bps=50 * sequence, confidence_bps=9_000).build()


def operate(directory: Path, policy: PolicySnapshot) -> str:
    """The system's day; returns the receipt that a customer was given for decision 20."""
    receipt = ""
    with AuditedLog.open(directory / "log", KEY) as log:
        for sequence in range(1, 41):
            request = request_of(sequence)
            decision = policy.prescribe(request)
            entry = log.append_verified_audited(policy, request, decision, {"customer": "c-7"})
            if sequence == 20:
                log.sync()
                place = ReceiptWal(entry.sequence, entry.entry_hash)
                issued = issue_receipt(policy, request, decision, wal=place)
                receipt = issued.sign(SIGNING_KEY, "risk-officer", SIGNED_AT_MS).to_json()
    return receipt


def forge(path: Path, forged: Path) -> None:
    """What an operator with the key can do: change record 20, and chain everything anew."""
    hasher, previous = ChainHasher(KEY), "genesis"
    with forged.open("wb") as file:
        for sequence, line in enumerate(path.read_bytes().splitlines(), 1):
            data = json.loads(line)["data"]
            if sequence == 20:
                data["decision"]["selected_model_id"] = 3
            text = json.dumps(data, separators=(",", ":")).encode()
            entry_hash = hasher.entry_hash(previous, text)
            file.write(encode_line(sequence, previous, entry_hash, text))
            previous = entry_hash


def main(directory: Path) -> list[str]:
    directory.mkdir(parents=True, exist_ok=True)
    if any(directory.iterdir()):
        raise SystemExit(f"{directory}: is not empty; give a directory that is, or a new one")
    policy = build_policy()
    signed = sign_policy(policy, SIGNING_KEY, "risk-officer", SIGNED_AT_MS).to_json()
    receipt_text = operate(directory, policy)
    path = directory / "log" / "00000001.jsonl"

    # The audit. First: whose rules are these?
    trusted = public_key_from_signing_key(SIGNING_KEY)
    SignedPolicy.from_json(signed).verify(policy, trusted)
    findings = ["the policy is the one that the risk officer signed"]
    replay = replay_audited_wal(path, policy, KEY)
    findings.append(f"{replay.record_count} decisions made again, all the same")

    # A receipt is checked without the log and its key.
    receipt = DecisionReceipt.from_json(receipt_text)
    request = request_of(20)
    receipt.verify_full(policy, request, policy.prescribe(request), trusted, None, receipt.wal)
    findings.append("the receipt for decision 20 holds")

    tampered = directory / "tampered.jsonl"
    tampered.write_bytes(path.read_bytes().replace(b'"risk_bps":1000', b'"risk_bps":1001'))
    forged = directory / "forged.jsonl"
    forge(path, forged)
    for log in (tampered, forged):
        try:
            replay_audited_wal(log, policy, KEY)
        except DecisionMismatch as refusal:
            findings.append(f"chains, but was not decided so: {refusal}")
        except WalDamage as refusal:
            findings.append(f"was changed: {refusal}")
    try:
        receipt.verify_full(
            policy, request_of(21), policy.prescribe(request_of(21)), trusted, None, receipt.wal
        )
    except ReceiptError as refusal:
        findings.append(f"is no receipt of decision 21: {refusal.field} differs")
    print("\n".join(findings))
    return findings


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(Path(temporary))
