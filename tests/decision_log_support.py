"""Logs of decisions alone, as the reference writes them."""

import json
from pathlib import Path
from typing import Any

from kernel import KernelInput, KernelModel, PolicySnapshot, audit_bundle
from wal import EMPTY_HEAD, ChainHasher, Head, encode_line

KEY = bytes(range(32))


HASHER = ChainHasher(KEY)


VECTORS = Path(__file__).parent / "data" / "vectors" / "wal"


def policy_of(fields: dict[str, Any]) -> PolicySnapshot:
    models = [KernelModel(**model) for model in fields["models"]]
    return PolicySnapshot(**fields | {"models": models})


POLICY = policy_of(json.loads((VECTORS / "policy.json").read_text())["policy"])


def dump(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def make(policy: PolicySnapshot, request: KernelInput, metadata: object = None) -> dict[str, Any]:
    decision = policy.prescribe(request)
    return {
        "audit": audit_bundle(policy, request, decision),
        "input": request.as_dict(),
        "decision": decision.as_dict(),
        "metadata": metadata,
    }


def request(sequence: int, **changes: int) -> KernelInput:
    fields = {
        "request_sequence": sequence,
        "requested_model_id": 10,
        "input_tokens": 1_000 + sequence,
        "output_tokens": 1_000_000,
        "business_value_microunits": 10**12,
        "budget_limit_microunits": 10**9,
        "risk_bps": 250,
        "confidence_bps": 9_000,
        "minimum_quality_bps": 0,
        "max_p95_latency_ms": 0,
        "required_capabilities": 0,
        "allowed_provider_mask": 2**64 - 1,
        "required_region_mask": 0,
    }
    return KernelInput(**fields | changes)


RECORDS = [make(POLICY, request(n), {"n": n, "note": "x\ny"}) for n in range(1, 7)]


def chained(datas: list[bytes], hasher: ChainHasher = HASHER) -> bytes:
    head, lines = EMPTY_HEAD, []
    for data in datas:
        entry_hash = hasher.entry_hash(head.entry_hash, data)
        lines.append(encode_line(head.sequence + 1, head.entry_hash, entry_hash, data))
        head = Head(head.sequence + 1, entry_hash)
    return b"".join(lines)
