"""The torture of clients, short: killed, closed, reset and replaced, under load and disk stalls.

The long form is a command: `tests/torture/README.md`. What a door cannot hold is skipped here with
its reason, which `tests/torture/doors.py` states.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from daemon_support import PACKAGES

TORTURE = Path(__file__).resolve().parent / "torture"
sys.path.append(str(TORTURE))

from doors import DOOR, DOORS  # noqa: E402
from raw_peers import ATTACKS  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.long]

COMMAND_PATIENCE_S = 150.0
CLIENTS, SECONDS = 100, 5
# An attack on its own: so many peers of it at a time.
PEERS, ATTACK_SECONDS = 20, 1.5
DESCRIPTORS = 500  # where there are to be too few


def torture(*arguments: str) -> str:
    """What the command says; it must say that every promise was kept."""
    done = subprocess.run(
        [sys.executable, "-P", str(TORTURE / "clients.py"), "--alone-seconds", "0", *arguments],
        capture_output=True,
        text=True,
        timeout=COMMAND_PATIENCE_S,
        env={**os.environ, "PYTHONPATH": f"{PACKAGES}:{TORTURE}"},
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "every promise was kept" in done.stdout
    return done.stdout


def test_a_hundred_clients() -> None:
    said = torture("--clients", str(CLIENTS), "--seconds", str(SECONDS))
    killed, closed = re.findall(r"which (\d+) were killed .* (\d+) closed", said)[0]
    raw, reset = re.findall(r"raw peers: (\d+), (\d+) of them reset", said)[0]
    assert all(int(count) > 0 for count in (killed, closed, raw, reset))


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_alone(attack: str) -> None:
    reason = DOORS[DOOR].cannot_hold.get(attack)
    if reason is not None:
        pytest.skip(f"the {DOOR} door cannot hold it: {reason}")
    arguments = ["--clients", str(PEERS), "--seconds", str(ATTACK_SECONDS)]
    if attack == "crowding":
        arguments += ["--descriptors", str(DESCRIPTORS)]
    said = torture("--only", attack, *arguments)
    assert re.search(rf"{attack} [1-9]", said), "it was carried out"
