"""Fuzzes the door's state machine, guided by what its code does with an input.

    python tests/fuzz/fuzz_zmtp.py [-max_total_time=60] [CORPUS ...]

It needs atheris (`pip install atheris`), which nothing else here does. The machine runs
interpreted: only Python's own code can be watched. Arguments are libFuzzer's; the corpus that is
checked in is read first. An input that breaks a promise (`fuzz_support`) is written to `crash-…`:
put it into `tests/data/fuzz/zmtp`, where `tests/guard/server/test_fuzz.py` runs it from then on.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import atheris
from instrument import instrument

os.environ["PRETRADE_GUARD_PURE"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
TESTS = Path(__file__).resolve().parents[1]
CORPUS = TESTS / "data" / "fuzz" / "zmtp"


def main() -> None:
    from fuzz_support import check
    from guard.server import commands, mechanisms, zmtp

    for module in (commands, mechanisms, zmtp):
        instrument(module)

    folders = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    options = [argument for argument in sys.argv[1:] if argument.startswith("-")]
    # libFuzzer adds what it finds to the first folder: never to the one that is checked in.
    known = [str(CORPUS)] if folders else [f"-seed_inputs={','.join(map(str, CORPUS.iterdir()))}"]
    atheris.Setup([sys.argv[0], *options, *folders, *known], check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
