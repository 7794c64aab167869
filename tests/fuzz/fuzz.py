"""Fuzzes what outsiders' bytes come to, guided by what the code does with an input.

    python tests/fuzz/fuzz.py TARGET [-max_total_time=60] [CORPUS ...]

TARGET is one of `fuzz_targets.TARGETS`: curve, admin, feed, configuration, proofs, log. It needs
atheris (`pip install atheris`), which nothing else here does. Arguments are libFuzzer's; the seeds
are read first. An input that breaks a promise is written to `crash-...`: put it into
`tests/data/fuzz/TARGET`, where `tests/test_fuzz_targets.py` runs it from then on.
"""

from __future__ import annotations

import os
import sys
import tempfile
from importlib import import_module
from pathlib import Path

import atheris

os.environ["PRETRADE_GUARD_PURE"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def main() -> int:
    from instrument import instrument

    from fuzz_targets import TARGETS

    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.stderr.write(f"usage: fuzz.py {'|'.join(TARGETS)} [OPTION ...] [CORPUS ...]\n")
        return 2
    target = TARGETS[sys.argv[1]]
    for name in target.modules:
        instrument(import_module(name))

    def check(data: bytes) -> None:
        target.check(data)

    with tempfile.TemporaryDirectory() as directory:
        for number, seed in enumerate(target.seeds):
            Path(directory, f"seed-{number}").write_bytes(seed)
        folders = [argument for argument in sys.argv[2:] if not argument.startswith("-")]
        options = [argument for argument in sys.argv[2:] if argument.startswith("-")]
        # libFuzzer adds what it finds to the first folder.
        atheris.Setup([sys.argv[0], *options, *folders, directory], check)
        atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
