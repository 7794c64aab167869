"""Holds the design's rules that a reader cannot check by eye in every change, over the AST.

Each rule is a row of `RULES`: where it holds, what breaks it, and snippets that must break it, so
that no rule passes only because it looks at nothing. It reads the checkout's sources, whichever
form of the packages is installed. A rule is changed here and in the design together.
"""

import tomllib
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from architecture_support import (
    CHECKOUT,
    CLOCK_MODULE,
    FILE_LINES_MAX,
    FUNCTION_LINES_MAX,
    LINE_COLUMNS_MAX,
    PRODUCT,
    PURE_GUARD,
    ROOMS,
    SPEAKS_TO_PEOPLE,
    Check,
    Finding,
    Source,
    asserted_conditions,
    clock_reads,
    forms_imports,
    kernel_effects,
    kernel_imports,
    kernel_inexact,
    no_docstring,
    prints,
    pure_guard,
    rooms,
    sizes,
    starts_by_itself,
    swallowed_exceptions,
    types_made_late,
    unfinished,
    wal_imports,
)


@dataclass(frozen=True)
class Rule:
    """`bad` and `good` are (path, text): what the rule must find, and what it must let pass."""

    name: str
    applies: Callable[[Source], bool]
    check: Check
    bad: tuple[tuple[str, str], ...]
    good: tuple[tuple[str, str], ...]


def everywhere(source: Source) -> bool:
    return True


def in_product(source: Source) -> bool:
    return source.package in PRODUCT


def in_package(name: str) -> Callable[[Source], bool]:
    return lambda source: source.package == name


def keeps_the_log(source: Source) -> bool:
    rooms = ("wal/", "guard/audit/", "guard/engine/", "guard/record/")
    return source.path.startswith(rooms)


def is_pure_guard(source: Source) -> bool:
    name = source.path.removeprefix("guard/").removesuffix(".py").replace("/", ".")
    return source.package == "guard" and name in PURE_GUARD


def long_function(lines: int) -> str:
    return "def f():\n" + "    pass\n" * (lines - 1)


pytestmark = pytest.mark.slow  # it reads sources, whichever form runs

RULES = (
    Rule(
        "forms imports itself and the standard library only",
        in_package("forms"),
        forms_imports,
        bad=(
            ("forms/a.py", "import kernel"),
            ("forms/a.py", "from guard import clock"),
            ("forms/a.py", "import msgspec"),
        ),
        good=(("forms/a.py", "import os\nfrom forms.modules import COMPILED_MODULES"),),
    ),
    Rule(
        "kernel imports itself, forms and the standard library only",
        in_package("kernel"),
        kernel_imports,
        bad=(
            ("kernel/a.py", "import wal"),
            ("kernel/a.py", "from guard import clock"),
            ("kernel/a.py", "from wal.chain import x"),
            ("kernel/a.py", "import msgspec"),
            ("kernel/a.py", "def f():\n    import numpy.linalg"),
        ),
        good=(("kernel/a.py", "import hashlib\nfrom forms import FORM\nfrom kernel.b import c"),),
    ),
    Rule(
        "wal imports neither kernel nor guard",
        in_package("wal"),
        wal_imports,
        bad=(
            ("wal/a.py", "import kernel"),
            ("wal/a.py", "from guard import clock"),
            ("wal/a.py", "if True:\n    import guard.protocol.wire as w"),
        ),
        good=(("wal/a.py", "import os\nimport msgspec\nfrom wal.chain import x"),),
    ),
    Rule(
        "what the log's integrity rests on is raised and not asserted",
        keeps_the_log,
        asserted_conditions,
        bad=(
            ("wal/a.py", "assert x"),
            ("wal/a.py", "assert x is None"),
            ("wal/a.py", "assert x > 0, x"),
            ("wal/a.py", "assert not x"),
            ("guard/audit/a.py", "assert x == y"),
            ("guard/engine/a.py", "def f():\n    assert x and y"),
            ("guard/record/a.py", "assert f(x)"),
        ),
        good=(("wal/a.py", "assert x is not None\nassert isinstance(x, int), x"),),
    ),
    Rule(
        "kernel has no effects and no input but its arguments",
        in_package("kernel"),
        kernel_effects,
        bad=(
            ("kernel/a.py", "import os"),
            ("kernel/a.py", "from os import environ"),
            ("kernel/__init__.py", "import os"),
            ("kernel/__init__.py", "import time"),
            ("kernel/a.py", "import random"),
            ("kernel/a.py", "import logging"),
            ("kernel/a.py", "from datetime import datetime"),
            ("kernel/a.py", "import asyncio"),
            ("kernel/a.py", "async def f(): pass"),
            ("kernel/a.py", "open('x')"),
            ("kernel/a.py", "hash('x')"),
        ),
        good=(("kernel/a.py", "import hashlib\nx = hashlib.sha256(b'')"),),
    ),
    Rule(
        "kernel counts in integers",
        in_package("kernel"),
        kernel_inexact,
        bad=(
            ("kernel/a.py", "x = 1.0"),
            ("kernel/a.py", "x = 1e3"),
            ("kernel/a.py", "x = a / b"),
            ("kernel/a.py", "x /= 2"),
            ("kernel/a.py", "float(x)"),
            ("kernel/a.py", "import decimal"),
            ("kernel/a.py", "import math"),
            ("kernel/a.py", "from math import gcd, sqrt"),
        ),
        good=(("kernel/a.py", "from math import gcd\nx = a // b\nx //= 2\ny = 10**9"),),
    ),
    Rule(
        "guard/clock.py alone reads clocks",
        lambda source: in_product(source) and source.path != CLOCK_MODULE,
        clock_reads,
        bad=(
            ("wal/a.py", "import time"),
            ("guard/a.py", "import time as t"),
            ("guard/a.py", "from time import monotonic_ns"),
            ("guard/a.py", "from time import sleep, time"),
            ("guard/a.py", "datetime.now(UTC)"),
            ("guard/a.py", "datetime.datetime.utcnow()"),
            ("guard/a.py", "datetime.date.today()"),
            ("guard/a.py", "asyncio.get_running_loop().time()"),
            ("guard/a.py", "self._loop.time()"),
        ),
        good=(
            (
                "guard/a.py",
                "from time import sleep\nclock.now_ns()\ndatetime.fromtimestamp(0, UTC)",
            ),
            (CLOCK_MODULE, "import time\ntime.time_ns()"),
        ),
    ),
    Rule(
        "guard's pure modules are pure",
        is_pure_guard,
        pure_guard,
        bad=(
            ("guard/engine/engine.py", "import zmq"),
            ("guard/protocol/wire.py", "import zmq.asyncio"),
            ("guard/record/codec.py", "from os import path"),
            ("guard/engine/remembered.py", "import time"),
            ("guard/protocol/reasons.py", "import socket"),
            ("guard/protocol/messages.py", "import asyncio"),
            ("guard/protocol/instruments.py", "import aiofiles"),
            ("guard/engine/engine.py", "open('x')"),
            ("guard/engine/engine.py", "hash('x')"),
            ("guard/engine/row_map.py", "id('x')"),
            ("guard/engine/row_map.py", "import mmap"),
            ("guard/engine/engine.py", "from guard import clock"),
            ("guard/engine/engine.py", "from guard.clock import Clock"),
        ),
        good=(
            (
                "guard/engine/engine.py",
                "import msgspec\nfrom guard.protocol import messages\nimport kernel",
            ),
            ("guard/client/synchronous.py", "import zmq"),
            ("guard/engine/row_map.py", "hash('x')"),
            ("guard/engine/recent.py", "hash('x')"),
            ("guard/engine/dontfork_memory.py", "import mmap"),
        ),
    ),
    Rule(
        "a room of the guard imports none above it",
        lambda source: source.path.startswith(tuple(f"guard/{room}/" for room in ROOMS)),
        rooms,
        bad=(
            ("guard/protocol/a.py", "from guard.engine.state import GuardState"),
            ("guard/engine/a.py", "from guard.record import writer"),
            ("guard/record/a.py", "import guard.replay.redecide"),
        ),
        good=(
            ("guard/engine/a.py", "from guard.protocol.request import Request"),
            ("guard/server/a.py", "from guard.record.writer import RecordWriter"),
        ),
    ),
    Rule(
        "no exception is swallowed unseen",
        in_product,
        swallowed_exceptions,
        bad=(
            ("wal/a.py", "try: f()\nexcept: raise"),
            ("wal/a.py", "try: f()\nexcept Exception: pass"),
            ("wal/a.py", "try: f()\nexcept (OSError, BaseException) as e: log(e)"),
            ("wal/a.py", "try: f()\nexcept Exception:\n    if x: raise"),
            ("wal/a.py", "try: f()\nexcept Exception:\n    if x: return_()\n    def g(): raise X"),
            ("wal/a.py", "def g():\n  try: f()\n  except Exception:\n    if x: return\n    raise"),
            ("wal/a.py", "with contextlib.suppress(Exception): f()"),
        ),
        good=(
            ("wal/a.py", "try: f()\nexcept OSError: pass"),
            ("wal/a.py", "try: f()\nexcept BaseException:\n    undo()\n    raise"),
            (
                "wal/a.py",
                "try: f()\nexcept Exception as e:\n    if x:\n        raise\n    else:\n"
                "        raise InvariantError from e",
            ),
        ),
    ),
    Rule(
        "print is for people: the command line, the demo, reports",
        lambda source: in_product(source) and not source.path.startswith(SPEAKS_TO_PEOPLE),
        prints,
        bad=(("guard/server/daemon.py", "print('x')"), ("wal/a.py", "def f():\n    print(1)")),
        good=(("guard/cli/run.py", "print('x')"), ("guard/demo/play.py", "print('x')")),
    ),
    Rule(
        "msgspec learns a type when its module is imported",
        in_product,
        types_made_late,
        bad=(("wal/a.py", "def f(data):\n    return msgspec.json.decode(data, type=Manifest)"),),
        good=(("wal/a.py", "decode = msgspec.json.Decoder(Manifest).decode"),),
    ),
    Rule(
        "nothing unfinished lands",
        everywhere,
        unfinished,
        bad=(("guard/a.py", "# TO" + "DO: later"), ("tests/a.py", "# FIX" + "ME")),
        good=(("guard/a.py", "# today"),),
    ),
    Rule(
        "processes of ours are started by guard.process.own_process",
        everywhere,
        starts_by_itself,
        bad=(
            ("tests/a.py", 'x = [sys.executable, "-P", "-m", "guard.cli", "run"]'),
            ("tests/a.py", 'x = (python, "-m", "wal")'),
            ("guard/a.py", "subprocess.Popen(x)"),
            ("guard/a.py", "asyncio.create_subprocess_exec(*x)"),
            ("guard/a.py", 'multiprocessing.get_context("spawn")'),
            ("guard/a.py", "os.execv(sys.executable, x)"),
        ),
        good=(
            ("tests/a.py", 'x = [sys.executable, "-m", "pytest"]'),
            ("tests/a.py", "subprocess.Popen(own_process.command(x))"),
            ("guard/a.py", "subprocess.run((git, x))"),
            ("guard/process/leaving.py", "subprocess.Popen(x)"),
        ),
    ),
    Rule(
        "files, functions and lines are small",
        everywhere,
        sizes,
        bad=(
            ("wal/a.py", "\n" * (FILE_LINES_MAX + 1)),
            ("wal/a.py", long_function(FUNCTION_LINES_MAX + 1)),
            ("tests/a.py", "#" * (LINE_COLUMNS_MAX + 1)),
        ),
        good=(
            ("wal/a.py", "\n" * FILE_LINES_MAX),
            ("wal/a.py", long_function(FUNCTION_LINES_MAX)),
            ("wal/a.py", "#" * LINE_COLUMNS_MAX),
        ),
    ),
    Rule(
        "every module says what it is for",
        everywhere,
        no_docstring,
        bad=(("wal/a.py", "import os"), ("wal/a.py", '"""   """'), ("tests/a.py", "")),
        good=(("wal/a.py", '"""Owns the files."""'),),
    ),
)

BAD = [(rule, *snippet) for rule in RULES for snippet in rule.bad]
GOOD = [(rule, *snippet) for rule in RULES for snippet in rule.good]


def name_of(value: object) -> str:
    return value.name if isinstance(value, Rule) else ""


def findings(rule: Rule, source: Source) -> list[Finding]:
    return sorted(rule.check(source)) if rule.applies(source) else []


@pytest.fixture(scope="module")
def sources() -> list[Source]:
    paths = [CHECKOUT / "setup.py"]
    for directory in (*PRODUCT, "tests"):
        paths += sorted((CHECKOUT / directory).rglob("*.py"))
    return [
        Source(path.relative_to(CHECKOUT).as_posix(), path.read_text("utf-8")) for path in paths
    ]


def test_the_scan_sees_the_product(sources: list[Source]) -> None:
    assert "tests/test_architecture.py" in {source.path for source in sources}
    assert any(in_product(source) for source in sources)


def test_every_package_of_the_tree_is_installed() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))
    there = {
        path.parent.relative_to(CHECKOUT).as_posix().replace("/", ".")
        for directory in PRODUCT
        for path in (CHECKOUT / directory).rglob("__init__.py")
    }
    assert sorted(project["tool"]["setuptools"]["packages"]) == sorted(there)


@pytest.mark.slow
def test_the_tree_keeps_the_rules(sources: list[Source]) -> None:
    broken = [
        f"{rule.name}: {source.path}:{line}: {what}"
        for source in sources  # each is parsed once, for all rules
        for rule in RULES
        for line, what in findings(rule, source)
    ]
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize(("rule", "path", "text"), BAD, ids=name_of)
def test_the_rule_finds_what_breaks_it(rule: Rule, path: str, text: str) -> None:
    assert findings(rule, Source(path, text))


@pytest.mark.parametrize(("rule", "path", "text"), GOOD, ids=name_of)
def test_the_rule_lets_pass_what_keeps_it(rule: Rule, path: str, text: str) -> None:
    assert findings(rule, Source(path, text)) == []
