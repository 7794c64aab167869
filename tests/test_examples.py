"""The examples run, and say what their pages claim. Each is also a program of its own."""

import os
import shlex
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import calybris._core as wheel
import pytest

import kernel
from kernel import (
    Action,
    ExposureLimitExceeded,
    IncompleteProofError,
    Reason,
    Reserved,
    verify_decision,
)
from library_support import wheel_policy

pytestmark = pytest.mark.slow

CHECKOUT = Path(__file__).parent.parent
EXAMPLES = CHECKOUT / "tests" / "examples"
PACKAGES = Path(kernel.__file__).parent.parent


def example(name: str) -> ModuleType:
    spec = spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def readme_calls() -> list[str]:
    """The lines of the README that run an example."""
    prefix = ".venv/bin/python tests/examples/"
    lines = (CHECKOUT / "README.md").read_text().splitlines()
    return [line for line in lines if line.startswith(prefix)]


def call(command: str, directory: Path) -> "subprocess.CompletedProcess[str]":
    """Runs a line of the README in `directory`, where `tests` is the checkout's."""
    arguments = shlex.split(command)
    assert arguments[0] == ".venv/bin/python"
    if not (directory / "tests").exists():
        (directory / "tests").symlink_to(CHECKOUT / "tests")
    return subprocess.run(
        [sys.executable, *arguments[1:]],
        cwd=directory, env={**os.environ, "PYTHONPATH": str(PACKAGES)},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("command", readme_calls())
def test_runs_as_the_readme_calls_it(command: str, tmp_path: Path) -> None:
    done = call(command, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout
    kept = {path.name for path in tmp_path.iterdir()} - {"tests"}
    assert kept == set(shlex.split(command)[2:]), "what it names is there, and nothing else"


@pytest.mark.parametrize("name", ["production_gateway", "replay_audit"])
def test_a_directory_that_is_in_use_is_refused_and_stays_as_it_was(
    name: str, tmp_path: Path
) -> None:
    command = f".venv/bin/python tests/examples/{name}.py days/first"
    assert call(command, tmp_path).returncode == 0
    before = sorted((tmp_path / "days").rglob("*"))
    assert len(before) > 3
    done = call(command, tmp_path)
    assert done.returncode == 1
    assert done.stderr == "days/first: is not empty; give a directory that is, or a new one\n"
    assert sorted((tmp_path / "days").rglob("*")) == before


def test_the_readme_calls_every_example() -> None:
    called = {Path(shlex.split(line)[1]).stem for line in readme_calls()}
    assert called == {path.stem for path in EXAMPLES.glob("*.py")}


def test_every_example_is_run_here() -> None:
    names = {path.stem for path in EXAMPLES.glob("*.py")}
    assert names == {
        "ledger_throughput",
        "model_routing",
        "pre_trade_guard",
        "production_gateway",
        "quickstart",
        "replay_audit",
    }
    for name in names:
        assert len((EXAMPLES / f"{name}.py").read_text().splitlines()) <= 160  # some two pages


def test_quickstart_as_a_program() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / "quickstart.py"],
        env={"PYTHONPATH": str(PACKAGES)}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    assert done.stdout.splitlines()[:3] == [
        "substitute: model 2, alternative_maximizes_utility",
        "  model 1: eligible, cost 1000, utility 701320",
        "  model 2: eligible, cost 13500, utility 840600",
    ]


def test_quickstart() -> None:
    envelope = example("quickstart").main()
    assert (envelope.action, envelope.selected_model_id) == ("substitute", 2)
    with pytest.raises(IncompleteProofError):
        envelope.require_complete()


def test_model_routing(capsys: pytest.CaptureFixture[str]) -> None:
    module = example("model_routing")
    decisions = module.main()
    assert {name: module.NAMES[each.selected_model_id] for name, each in decisions.items()} == {
        "legal review": "premium",
        "chat": "fast",
        "screenshot": "fast",
        "in Europe": "cheap",
        "too tight": "none",
    }
    assert decisions["too tight"].reason is Reason.QUALITY_CONSTRAINT
    policy = module.catalogue()
    for name, request in module.requests().items():
        assert verify_decision(policy, request, decisions[name]).is_valid
    assert "premium: latency, 900 against 500" in capsys.readouterr().out


def test_pre_trade_guard(capsys: pytest.CaptureFixture[str]) -> None:
    module = example("pre_trade_guard")
    answers = module.main()
    actions = {name: decision.action for name, (decision, _) in answers.items()}
    assert actions == {
        "C-1": Action.EXECUTE_REQUESTED,
        "C-2": Action.SUBSTITUTE,
        "C-3": Action.REJECT,
        "C-4": Action.EXECUTE_REQUESTED,
        "C-5": Action.EXECUTE_REQUESTED,
    }
    assert answers["C-2"][0].selected_model_id == module.LIT
    assert answers["C-3"] == (answers["C-3"][0], None)
    assert answers["C-3"][0].reason is Reason.RISK_HARD_LIMIT
    kinds = {name: type(exposure) for name, (_, exposure) in answers.items() if name != "C-3"}
    assert kinds == {
        "C-1": Reserved,
        "C-2": Reserved,
        "C-4": ExposureLimitExceeded,
        "C-5": Reserved,
    }
    assert capsys.readouterr().out.splitlines()[:6] == [
        "C-1 $ 50,000 admitted at dark",
        "C-2 $100,020 admitted at lit, failed over",
        "C-3 $ 25,010 rejected by policy: risk_hard_limit",
        "C-4 $200,000 rejected by exposure: exposure_limit_exceeded",
        "C-5 $ 39,992 admitted at alternative",
        "2 orders open, $1.10 of fees paid",
    ]


def test_production_gateway(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    module = example("production_gateway")
    ledger, recovered, proofs = module.main(tmp_path)
    assert recovered.snapshot().tenants == ledger.snapshot().tenants
    assert recovered.max_reserved_microcents("team-search") == 200_000
    assert recovered.next_reservation_id == ledger.next_reservation_id
    assert [proof.wal_sequence for proof in proofs] == list(range(1, 9))
    printed = capsys.readouterr().out
    assert "4 of 8 records came after the checkpoint" in printed
    assert "8 decisions made again, all the same" in printed
    replayed = wheel.replay_verify_audited_wal(
        tmp_path / "log" / "00000001.jsonl",
        wheel_policy(module.build_policy()),
        hmac_key=module.KEY,
    )
    assert len(replayed) == 8


def test_replay_audit(tmp_path: Path) -> None:
    findings = example("replay_audit").main(tmp_path)
    assert findings[:3] == [
        "the policy is the one that the risk officer signed",
        "40 decisions made again, all the same",
        "the receipt for decision 20 holds",
    ]
    assert findings[3].startswith("was changed: tampered.jsonl, byte ")
    assert findings[3].endswith("record 20: entry_hash does not match the record's bytes")
    assert findings[4].startswith("chains, but was not decided so: forged.jsonl, byte ")
    assert findings[4].endswith("selected_model_id: is 3 in the decision; the policy gives 1")
    assert findings[5] == "is no receipt of decision 21: input_digest_hex differs"
    assert len(findings) == 6


def test_ledger_throughput() -> None:
    held, proof, certificate = example("ledger_throughput").main(3_000, 7)
    assert (held, proof.active_reservations, proof.tenant_count) == (3_000, 1_000, 7)
    assert certificate.conservation_balanced
    assert certificate.committed_since_last_certificate == proof.total_committed_microcents > 0
