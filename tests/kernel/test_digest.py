"""The digests: the vectors', and what each covers."""

from hashlib import sha256

import pytest

from kernel import (
    BudgetSnapshot,
    KernelDecision,
    KernelInput,
    KernelInputError,
    TenantLedger,
    decision_digest,
    decision_digest_of_row,
    input_digest,
    input_digest_of_row,
    ledger_digest,
    policy_digest,
)
from kernel_support import policy_of_vector, read_vectors


def test_the_vectors_digests() -> None:
    for vector in read_vectors("kernel.jsonl.gz"):
        policy, _ = policy_of_vector(vector["policy"])
        assert policy_digest(policy).hex() == vector["policy_digest_hex"]
        for case in vector["cases"]:
            request = KernelInput(**case["input"])
            decision = KernelDecision.from_dict(case["decision"])
            assert input_digest(request).hex() == case["input_digest_hex"]
            assert input_digest_of_row(request.row) == input_digest(request)
            assert decision_digest(decision).hex() == case["decision_digest_hex"]
            assert decision_digest_of_row(decision.row) == decision_digest(decision)


def test_a_digest_is_of_the_tag_and_the_row() -> None:
    assert input_digest_of_row(bytes(70)) == sha256(b"calyinp1\0" + bytes(70)).digest()
    assert decision_digest_of_row(bytes(65)) == sha256(b"calydcn1\0" + bytes(65)).digest()


@pytest.mark.parametrize("length", [0, 64, 66, 83])
def test_rows_of_another_length_are_refused(length: int) -> None:
    with pytest.raises(KernelInputError, match=rf"^input row is {length} bytes; must be 70$"):
        input_digest_of_row(bytes(length))
    with pytest.raises(KernelInputError, match=rf"^decision row is {length} bytes; must be 65$"):
        decision_digest_of_row(bytes(length))


def test_a_ledger_digest_orders_tenants_by_their_bytes_and_covers_the_watermark() -> None:
    zed, umlaut = TenantLedger("z", 5, 2, 2, 1), TenantLedger("ä", -1, -2, 0, 1)
    body = (
        (7).to_bytes(8, "little") + (2).to_bytes(8, "little") + (3).to_bytes(8, "little")
        + (1).to_bytes(4, "little") + b"z"
        + b"".join(value.to_bytes(8, "little", signed=True) for value in (5, 2, 2, 1))
        + (2).to_bytes(4, "little") + "ä".encode()
        + b"".join(value.to_bytes(8, "little", signed=True) for value in (-1, -2, 0, 1))
    )  # fmt: skip
    for tenants in ((zed, umlaut), (umlaut, zed)):
        plain = BudgetSnapshot(7, 3, None, tenants)
        assert ledger_digest(plain) == sha256(b"calyldg1\0" + body).digest()
        marked = BudgetSnapshot(7, 3, 0, tenants)
        tail = b"calybris.ledger.wal-watermark.v1\0" + bytes(8)
        assert ledger_digest(marked) == sha256(b"calyldg1\0" + body + tail).digest()
