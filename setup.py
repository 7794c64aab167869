"""Compiles the hot modules where a C compiler and Python's headers are found.

It never fails for want of these; where they are there and something else goes wrong, it does.

Everything else about the project stands in pyproject.toml. An extension is built from the very file
that runs interpreted; its types stand in the .pxd beside it. What is built from a checkout has its
commit written into it, for `guard.process.installation`; without git, or elsewhere, it has none.

It takes a minute or two, of which pip shows nothing: a line on the terminal says how far it is.
"""

import contextlib
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

CHECKOUT = Path(__file__).resolve().parent
COMMIT_FILE = Path("guard", "data", "commit")
GIT_S = 60

# Read and not imported: that would choose which form runs here.
LISTED = runpy.run_path(str(CHECKOUT / "forms" / "modules.py"))
COMPILED_MODULES, SHARED_MODULE = LISTED["COMPILED_MODULES"], LISTED["SHARED_MODULE"]

# Beside the way of most orders: a third less time to compile, and nobody waits for them.
LESS_OPTIMIZED = {
    "guard.engine.engine",
    "guard.audit.day_counts",
    "guard.audit.exposure",
    "wal.barethread",
}


def optimization(package: str, module: str) -> list[str]:
    """How hard the C compiler tries, unless whoever builds has said so (`CFLAGS=-O0`)."""
    if "-O" in os.environ.get("CFLAGS", ""):
        return []
    if f"{package}.{module}" in LESS_OPTIMIZED:
        return ["-O1"]
    return ["-O3" if package == "kernel" else "-O2"]


def extension(name: str, suffix: str, optimized: list[str]) -> Extension:
    """The module of that name, of the file that lies where its name says."""
    # Without what a debugger would read: a quarter of the time it takes to compile.
    arguments = [*optimized, "-g0", "-fno-strict-aliasing"]
    return Extension(name, [name.replace(".", "/") + suffix], extra_compile_args=arguments)


EXTENSIONS = [
    extension(f"{package}.{module}", ".py", optimization(package, module))
    for package, modules in COMPILED_MODULES.items()
    for module in modules
]
EXTENSIONS.append(extension(SHARED_MODULE, ".c", optimization(*SHARED_MODULE.split("."))))

CORES = os.cpu_count() or 1


class Progress:
    """One line on the terminal, written anew, and gone at the end.

    Nothing where there is no terminal, or where this runs in its background: pip gives no build a
    terminal, so that it is opened by its name. Nothing either where the compiler's own words are
    shown there.
    """

    def __init__(self) -> None:
        self._terminal: int | None = None
        if sys.stderr.isatty():
            return
        with contextlib.suppress(OSError):
            terminal = os.open("/dev/tty", os.O_WRONLY | os.O_NOCTTY | os.O_CLOEXEC)
            if os.tcgetpgrp(terminal) == os.getpgrp():
                self._terminal = terminal
            else:
                os.close(terminal)

    def say(self, text: str) -> None:
        """Shows it instead of what stood there."""
        if self._terminal is not None:
            with contextlib.suppress(OSError):  # a terminal that went away
                os.write(self._terminal, f"\r\x1b[K{text}".encode())

    def close(self) -> None:
        """Takes the line away."""
        self.say("")
        if self._terminal is not None:
            os.close(self._terminal)
            self._terminal = None


class BuildExtensions(build_ext):
    """All of them, where there is what compiles them: whatever goes wrong then fails the build.

    The C is generated when something is compiled, and not whenever metadata or an sdist is made.
    """

    def build_extensions(self) -> None:
        """As its base, over what Cython makes of `EXTENSIONS`, where they can be compiled."""
        missing = self._missing()
        if missing:
            sys.stderr.write(
                f"pretrade-guard: {missing}: nothing is compiled; all runs interpreted, with the "
                "same answers, slower\n"
            )
            self.extensions.clear()
            return
        self._progress = Progress()
        self._built = 0
        try:
            self._progress.say(
                f"pretrade-guard: compiling {len(EXTENSIONS)} modules, once: a minute or two"
            )
            self._generate()
            super().build_extensions()
        finally:
            self._progress.close()

    def build_extension(self, ext: Extension) -> None:
        """As its base, and tells how many are done. Called by several threads."""
        super().build_extension(ext)
        self._built += 1
        self._progress.say(f"pretrade-guard: compiled {self._built} of {len(EXTENSIONS)} modules")

    def _missing(self) -> str:
        """What there must be to compile and is not; "" where all is there."""
        command = getattr(self.compiler, "compiler_so", None)  # where the compiler is a command
        if command and shutil.which(command[0]) is None:
            return f"there is no C compiler {command[0]}"
        places = [str(place) for place in self.include_dirs]
        if not any(Path(place, "Python.h").exists() for place in places):
            return f"there is no Python.h in {', '.join(places)}"
        return ""

    def _generate(self) -> None:
        generated = cythonize(
            EXTENSIONS,
            nthreads=CORES,
            shared_utility_qualified_name=SHARED_MODULE,
            compiler_directives={
                "language_level": 3,
                "boundscheck": False,
                "wraparound": False,
                "cdivision": True,
                "auto_pickle": False,
                "emit_code_comments": False,
            },
        )
        for extension, with_c in zip(EXTENSIONS, generated, strict=True):
            extension.sources = with_c.sources


def checked_out_commit() -> str:
    """The checkout's, `+` behind it where files have changes; "" where nothing tells it."""
    git = shutil.which("git")
    if git is None or not (CHECKOUT / ".git").exists():  # it may lie in another's checkout
        return ""
    said = []
    for arguments in (
        ("rev-parse", "--short=12", "HEAD"),
        ("status", "--porcelain", "--untracked-files=no"),
    ):
        command = (git, "-C", str(CHECKOUT), *arguments)
        done = subprocess.run(command, capture_output=True, text=True, timeout=GIT_S, check=False)
        if done.returncode:
            return ""
        said.append(done.stdout.strip())
    head, changes = said
    return head + ("+" if changes else "")


def write_commit(place: Path) -> None:
    """Writes it into a tree that is being built; what an sdist brought along stands."""
    commit = checked_out_commit()
    if commit:
        (place / COMMIT_FILE).write_text(commit + "\n")
    elif not (CHECKOUT / COMMIT_FILE).exists():
        (place / COMMIT_FILE).unlink(missing_ok=True)  # an earlier build's


class BuildPython(build_py):
    """With the commit."""

    def run(self) -> None:
        """As its base, and the commit beside the packages' data."""
        super().run()
        if not self.editable_mode:
            write_commit(Path(self.build_lib))


class SourceDistribution(sdist):
    """With the commit, which is no longer to be found out from it."""

    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        """As its base, and the commit."""
        super().make_release_tree(base_dir, files)
        write_commit(Path(base_dir))


setup(
    ext_modules=EXTENSIONS,
    cmdclass={
        "build_ext": BuildExtensions,
        "build_py": BuildPython,
        "sdist": SourceDistribution,
    },
    options={"build_ext": {"parallel": CORES}},
)
