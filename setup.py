"""Compiles the hot modules where a C compiler is found; never fails for want of one.

Everything else about the project stands in pyproject.toml. An extension is built from the very
file that runs interpreted; its types stand in the .pxd beside it.
"""

import os

from Cython.Build import cythonize
from setuptools import Extension, setup

# As in each package's __init__: all of a package's run compiled, or none does.
COMPILED_MODULES = {
    "kernel": ("prescribe", "digest", "records", "policy", "ledger_lines", "ledger"),
    "guard": (
        "packed",
        "orders_codec",
        "orders",
        "state",
        "decide_entry",
        "decide_execution",
        "apply",
        "engine",
        "record_text",
        "wire",
    ),
    "wal": ("scan",),
    "guard.audit": ("decision_rows",),
}

EXTENSIONS = [
    Extension(
        f"{package}.{module}",
        [f"{package.replace('.', '/')}/{module}.py"],
        # Without what a debugger would read: a quarter of the time it takes to compile.
        extra_compile_args=["-O3" if package == "kernel" else "-O2", "-g0", "-fno-strict-aliasing"],
    )
    for package, modules in COMPILED_MODULES.items()
    for module in modules
]

CORES = os.cpu_count() or 1
EXTENSION_MODULES = cythonize(
    EXTENSIONS,
    nthreads=CORES,
    compiler_directives={
        "language_level": 3,
        "boundscheck": False,
        "wraparound": False,
        "cdivision": True,
        "embedsignature": True,
    },
)
for extension in EXTENSION_MODULES:
    # Said here, since cythonize makes new extensions and leaves this out of its copy.
    extension.optional = True

setup(ext_modules=EXTENSION_MODULES, options={"build_ext": {"parallel": CORES}})
