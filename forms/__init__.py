"""Which form of the compiled modules runs: as built, or the same source interpreted.

Owns that choice, for `kernel`, `wal` and `guard` together: they call each other's compiled modules
without Python between them, so all of them run compiled or none does. Each of the three imports
this package first, and it imports none of them. `COMPILED_MODULES` is what `setup.py` builds.

How it works: Python takes a module's built form where it lies beside the source. Where it must not,
since PRETRADE_GUARD_PURE=1 says so or not every module was built, the directories with such modules
are looked through for sources alone: each directory has a finder of its own, and this one is put in
its place.
"""

import os
import sys
from importlib.machinery import (
    BYTECODE_SUFFIXES,
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    FileFinder,
    SourceFileLoader,
    SourcelessFileLoader,
)

from forms.modules import COMPILED_MODULES, SHARED_MODULE

# Where the packages stand, in the very words by which Python finds them.
_PACKAGES = os.path.dirname(__path__[0])
_SOURCES = [
    os.path.join(_PACKAGES, package, *module.split("."))
    for package, modules in COMPILED_MODULES.items()
    for module in modules
]
_BUILT = [
    path + EXTENSION_SUFFIXES[0]
    for path in (*_SOURCES, os.path.join(_PACKAGES, *SHARED_MODULE.split(".")))
]


def _choose() -> str:
    is_forced = os.environ.get("PRETRADE_GUARD_PURE") == "1"
    if not is_forced and all(map(os.path.exists, _BUILT)):
        return "compiled"
    for directory in {os.path.dirname(path) for path in _SOURCES}:
        sys.path_importer_cache[directory] = FileFinder(
            directory,
            (SourceFileLoader, SOURCE_SUFFIXES),
            (SourcelessFileLoader, BYTECODE_SUFFIXES),
        )
    return "interpreted"


# "compiled" or "interpreted".
FORM = _choose()
