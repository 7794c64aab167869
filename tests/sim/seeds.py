"""Plays one seed, and tells what its history came to."""

import hashlib
import shutil
import tempfile
from pathlib import Path

from sim.server import scratch_root
from sim.world import World


class FailureError(AssertionError):
    """A history in which the guard broke a promise; its text is the trace."""


class Result:
    """What a history came to: its trace, the digest of that, and counts."""

    def __init__(self, seed: int, world: World) -> None:
        self.seed = seed
        self.trace = world.lines
        self.digest = hashlib.sha256("\n".join(world.lines).encode()).hexdigest()
        self.crashes = world.crashes
        self.power_cuts = world.power_cuts
        self.cuts = world.cuts
        self.replies = world.replies
        self.checkpoints = world.checkpoints.taken
        self.failed_checkpoints = world.checkpoints.failed
        self.spoilt_checkpoints = world.checkpoints.spoilt
        self.starts_from_checkpoints = world.checkpoints.begun_with
        self.records = world.oracle.next_sequence - 1


def run_seed(seed: int) -> Result:
    """Plays a seed. Raises `FailureError` where the guard broke a promise."""
    root = Path(tempfile.mkdtemp(prefix="guard-sim-", dir=scratch_root()))
    world = World(seed, root / "log")
    try:
        world.run()
    except Exception as error:
        trace = "\n".join(world.lines)
        what = f"{type(error).__name__}: {error}".replace(str(root), "")
        raise FailureError(f"{trace}\nseed {seed}: {what}") from error
    finally:
        world.end()
        shutil.rmtree(root)
    return Result(seed, world)
