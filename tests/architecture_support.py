"""The checks behind `test_architecture.py`: each takes one module's source and yields findings.

Owns what the checks look for, as data, and how they look: over the AST, never by importing. Knows
nothing of the tree on disk but which modules `guard` has. Text that is no Python is a SyntaxError.
"""

import ast
import itertools
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pure_modules import PURE_GUARD

CHECKOUT = Path(__file__).resolve().parent.parent
PRODUCT = ("forms", "kernel", "wal", "guard")

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 69
LINE_COLUMNS_MAX = 100

# Modules that speak to a person; no other one prints.
SPEAKS_TO_PEOPLE = ("guard/cli/", "guard/demo", "guard/bench/")
# Processes are begun here, for the command that ends them at the latest.
STARTING_MODULE = "guard/process/leaving.py"
STARTS = frozenset({"Popen", "create_subprocess_exec", "create_subprocess_shell", "get_context"})
# These start the interpreter: as the installation that they belong to, as themselves once more, and
# to run what is no program of ours.
INTERPRETER_MODULES = (
    "guard/process/own_process.py",
    "guard/process/huge_pages.py",
    "guard/bench/cores.py",
)
CLOCK_MODULE = "guard/clock.py"

IO_MODULES = frozenset(
    {
        "aiofiles",
        "asyncio",
        "fcntl",
        "http",
        "io",
        "logging",
        "mmap",
        "multiprocessing",
        "os",
        "pathlib",
        "random",
        "secrets",
        "select",
        "selectors",
        "shutil",
        "signal",
        "socket",
        "sqlite3",
        "subprocess",
        "tempfile",
        "threading",
        "time",
        "urllib",
        "uuid",
        "uvloop",
        "zmq",
    }
)
INEXACT_MODULES = frozenset({"cmath", "decimal", "fractions", "math", "statistics"})
# What may be taken, by name, from a module that is otherwise forbidden.
EXCEPTIONS_BY_NAME = {
    "math": frozenset({"comb", "gcd", "isqrt", "lcm", "prod"}),
    "time": frozenset({"sleep"}),
}
IO_CALLS = frozenset({"breakpoint", "exec", "eval", "input", "open", "print"})
# These differ from one run to the next (`hash` of a string is salted).
UNREPEATABLE_CALLS = frozenset({"hash", "id"})
# Here a hash only says where in an index to look; no answer and no byte of a dump depends on it.
HASHING_MODULES = frozenset({"guard/engine/row_map.py", "guard/engine/recent.py"})
# Maps memory, and no file: what it gives does not depend on anything outside.
MAPPING_MODULE = "guard/engine/dontfork_memory.py"
CLOCK_CALLS = frozenset({"now", "today", "utcnow"})
# Split, so that this file keeps its own rule.
UNFINISHED = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X")) + r")\b")


@dataclass(frozen=True)
class Source:
    """One module: its path from the checkout's root, its text and its tree."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)

    @property
    def package(self) -> str:
        return self.path.partition("/")[0]


Finding = tuple[int, str]
Check = Callable[[Source], Iterator[Finding]]


def imports(source: Source) -> Iterator[tuple[int, str, frozenset[str]]]:
    """(line, module, names taken from it): relative ones made absolute, `from . import x` as x."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name, frozenset()
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = f"{source.package}.{base}".rstrip(".")
            names = frozenset(alias.name for alias in node.names)
            if base in PRODUCT:
                # `from guard import engine` may name a module: say both.
                for name in names:
                    yield node.lineno, f"{base}.{name}", frozenset()
            else:
                yield node.lineno, base, names


def banned_imports(source: Source, banned: frozenset[str]) -> Iterator[Finding]:
    for line, module, names in imports(source):
        root = module.partition(".")[0]
        if root in banned and not (names and names <= EXCEPTIONS_BY_NAME.get(root, frozenset())):
            yield line, f"imports {module}"


def called_names(source: Source, banned: frozenset[str]) -> Iterator[Finding]:
    for node in ast.walk(source.tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
            continue
        if node.func.id in banned:
            yield node.lineno, f"calls {node.func.id}"


def _imports_beside(source: Source, ours: tuple[str, ...]) -> Iterator[Finding]:
    for line, module, _ in imports(source):
        root = module.partition(".")[0]
        if root not in ours and root not in sys.stdlib_module_names:
            yield line, f"imports {module}"


def forms_imports(source: Source) -> Iterator[Finding]:
    yield from _imports_beside(source, ("forms",))


def kernel_imports(source: Source) -> Iterator[Finding]:
    yield from _imports_beside(source, ("forms", "kernel"))


def wal_imports(source: Source) -> Iterator[Finding]:
    yield from banned_imports(source, frozenset({"kernel", "guard"}))


def asserted_conditions(source: Source) -> Iterator[Finding]:
    """An assert may tell the type checker what a value is, and hold nothing: see `python -O`.

    What it tells is that a value is not None, or of a type: any other fails where it is used.
    """
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Assert) and not _is_narrowing(node.test):
            yield node.lineno, f"asserts {ast.unparse(node.test)}"


def _is_narrowing(test: ast.expr) -> bool:
    if isinstance(test, ast.Call):
        return isinstance(test.func, ast.Name) and test.func.id == "isinstance"
    return (
        isinstance(test, ast.Compare)
        and isinstance(test.ops[0], ast.IsNot)
        and isinstance(test.comparators[0], ast.Constant)
        and test.comparators[0].value is None
    )


def kernel_effects(source: Source) -> Iterator[Finding]:
    yield from banned_imports(source, IO_MODULES | {"datetime"})
    yield from called_names(source, IO_CALLS | UNREPEATABLE_CALLS)
    for node in ast.walk(source.tree):
        if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith):
            yield node.lineno, "is async"


def kernel_inexact(source: Source) -> Iterator[Finding]:
    yield from banned_imports(source, INEXACT_MODULES)
    yield from called_names(source, frozenset({"complex", "float", "round"}))
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, float | complex):
            yield node.lineno, f"has the inexact literal {node.value!r}"
        elif isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
            yield node.lineno, "divides with /"


def clock_reads(source: Source) -> Iterator[Finding]:
    yield from banned_imports(source, frozenset({"time"}))
    for node in ast.walk(source.tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        owner = ast.unparse(node.func.value)
        of_datetime = owner.rpartition(".")[2] in {"datetime", "date"}
        if of_datetime and node.func.attr in CLOCK_CALLS:
            yield node.lineno, f"reads {owner}.{node.func.attr}"
        elif owner.rpartition(".")[2].endswith(("loop", "loop()")) and node.func.attr == "time":
            yield node.lineno, f"reads {owner}.time"


def pure_guard(source: Source) -> Iterator[Finding]:
    unrepeatable = UNREPEATABLE_CALLS
    if source.path in HASHING_MODULES:
        unrepeatable -= {"hash"}
    banned = IO_MODULES - {"mmap"} if source.path == MAPPING_MODULE else IO_MODULES
    yield from banned_imports(source, banned)
    yield from called_names(source, IO_CALLS | unrepeatable)
    for line, module, _ in imports(source):
        if module.partition(".")[0] == "guard" and not is_pure_guard_module(module):
            yield line, f"imports {module}, which is not pure"


# The rooms of the guard: each imports those before it, and itself.
ROOMS = (
    "process",
    "protocol",
    "engine",
    "record",
    "config",
    "recovery",
    "replay",
    "admin",
    "feed",
    "cluster",
    "server",
    "client",
    "audit",
    "archive",
    "sharing",
    "observe",
    "top",
    "demo",
    "bench",
    "cli",
)


def rooms(source: Source) -> Iterator[Finding]:
    room = source.path.split("/")[1]
    for line, module, _ in imports(source):
        names = module.split(".")
        of = names[1] if names[0] == "guard" and len(names) > 1 else ""
        if of in ROOMS and ROOMS.index(of) > ROOMS.index(room):
            yield line, f"imports {module}, a room above its own"


def is_pure_guard_module(module: str) -> bool:
    """Whether `guard`, or the module of guard that a dotted name begins with, is a pure one."""
    names = module.split(".")[1:]
    place = CHECKOUT / "guard"
    depth = 0
    while depth < len(names):
        place = place / names[depth]
        if not (place.is_dir() or place.with_suffix(".py").exists()):
            break
        depth += 1
    return depth == 0 or ".".join(names[:depth]) in PURE_GUARD


def leaves_by_raise(body: list[ast.stmt]) -> bool:
    """Whether no path through these statements gets past them without a raise."""
    for statement in body:
        if isinstance(statement, ast.Raise):
            return True
        if any(
            isinstance(node, ast.Return | ast.Continue | ast.Break) for node in ast.walk(statement)
        ):
            return False
        match statement:
            case ast.If(body=yes, orelse=no) if leaves_by_raise(yes) and leaves_by_raise(no):
                return True
            case ast.With(body=inner) | ast.AsyncWith(body=inner) if leaves_by_raise(inner):
                return True
            case ast.Try(finalbody=last) if leaves_by_raise(last):
                return True
    return False


def swallowed_exceptions(source: Source) -> Iterator[Finding]:
    broad = {"Exception", "BaseException", "builtins.Exception", "builtins.BaseException"}
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ExceptHandler):
            if node.type is None:
                yield node.lineno, "has a bare except"
                continue
            types = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            caught = {ast.unparse(kind) for kind in types} & broad
            if caught and not leaves_by_raise(node.body):
                yield node.lineno, f"catches {', '.join(sorted(caught))} and does not raise"
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress"):
            arguments = {ast.unparse(argument) for argument in node.args}
            if arguments & broad:
                yield node.lineno, "suppresses every exception"


def starts_by_itself(source: Source) -> Iterator[Finding]:
    """Processes not started as `guard.process.own_process` and `guard.process.leaving` say."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.List | ast.Tuple):
            texts = [part.value if isinstance(part, ast.Constant) else None for part in node.elts]
            for flag, module in itertools.pairwise(texts):
                if flag == "-m" and str(module).partition(".")[0] in PRODUCT:
                    yield node.lineno, f"starts -m {module}: whatever the path finds first"
        elif isinstance(node, ast.Attribute) and source.package in PRODUCT:
            named = ast.unparse(node)
            is_start = node.attr in STARTS and source.path != STARTING_MODULE
            if is_start or (named == "sys.executable" and source.path not in INTERPRETER_MODULES):
                yield node.lineno, f"has {named}"


def prints(source: Source) -> Iterator[Finding]:
    yield from called_names(source, frozenset({"print"}))


def types_made_late(source: Source) -> Iterator[Finding]:
    """Decoding with a type that msgspec learns at its first use, maybe while a child is forked."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".decode"):
            for keyword in node.keywords:
                if keyword.arg == "type":
                    yield node.lineno, "decodes with type=: make a Decoder when the module is made"


def unfinished(source: Source) -> Iterator[Finding]:
    for number, line in enumerate(source.text.splitlines(), 1):
        if found := UNFINISHED.search(line):
            yield number, f"says {found.group()}"


def sizes(source: Source) -> Iterator[Finding]:
    lines = source.text.splitlines()
    if len(lines) > FILE_LINES_MAX:
        yield len(lines), f"has {len(lines)} lines, above {FILE_LINES_MAX}"
    for number, line in enumerate(lines, 1):
        if len(line) > LINE_COLUMNS_MAX:
            yield number, f"has {len(line)} columns, above {LINE_COLUMNS_MAX}"
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES_MAX:
                yield node.lineno, f"{node.name} has {length} lines, above {FUNCTION_LINES_MAX}"


def no_docstring(source: Source) -> Iterator[Finding]:
    if not (ast.get_docstring(source.tree) or "").strip():
        yield 1, "has no docstring"
