"""The library's front: what it offers, and what importing each part pulls in."""

import subprocess

import pytest

import guard.audit
from child_support import code


def loaded_by(statement: str) -> set[str]:
    """The top-level packages and the modules of ours that a statement loads, in a new process."""
    program = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run(
        code(program), capture_output=True, text=True, timeout=60, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_all_it_says_it_has_is_there() -> None:
    offered = [name for names in guard.audit.LATER.values() for name in names]
    assert sorted(offered) == sorted(guard.audit.__all__)
    for name in guard.audit.__all__:
        assert getattr(guard.audit, name) is not None
    with pytest.raises(AttributeError, match=r"module 'guard\.audit' has no attribute 'Receipt'"):
        guard.audit.Receipt  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.slow
def test_each_part_pulls_in_no_more_than_it_needs() -> None:
    network = {"zmq", "uvloop", "rich", "calybris", "pydantic"}
    front = loaded_by("import guard.audit")
    assert (
        front & {"wal", "cryptography", "asyncio", "aiofiles", "opentelemetry", *network} == set()
    )
    snapshots = loaded_by("from guard.audit import restore, replay_audited_wal")
    assert snapshots & {"cryptography", "opentelemetry", *network} == set()
    log = loaded_by("from guard.audit import AuditedLog, DecisionEngine")
    assert log & {"cryptography", "guard.engine.engine", "guard.config.file", *network} == set()
    receipts = loaded_by("from guard.audit import issue_receipt, sign_policy")
    assert "cryptography" in receipts
    assert receipts & {"guard.audit.audited_log", "guard.record.codec", *network} == set()
