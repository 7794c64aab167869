"""Which form of the compiled modules runs: as built, or the same source interpreted.

Owns the choice for this package, as `kernel` does for itself and for `guard`; written a second
time, shorter, because neither package may import the other. `PRETRADE_GUARD_PURE=1` forces the
source. Imported by the package before all else, so that none of the modules is loaded before it.
"""

import os
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import find_spec, module_from_spec, spec_from_loader
from pathlib import Path

# In the order in which they may be loaded.
COMPILED_MODULES = ("entryhash", "staging", "scan", "barethread", "standing")


def _choose_form(modules: tuple[str, ...]) -> str:
    """Puts the source of these modules in place where it must be; "compiled" or "interpreted"."""
    specs = [find_spec(f"wal.{module}") for module in modules]
    is_built = all(spec is not None and not str(spec.origin).endswith(".py") for spec in specs)
    if is_built and os.environ.get("PRETRADE_GUARD_PURE") != "1":
        return "compiled"
    for module_name in modules:
        name = f"wal.{module_name}"
        loader = SourceFileLoader(name, str(Path(__file__).with_name(f"{module_name}.py")))
        spec = spec_from_loader(name, loader)
        assert spec is not None, name
        module = module_from_spec(spec)
        sys.modules[name] = module
        loader.exec_module(module)
        setattr(sys.modules["wal"], module_name, module)
    return "interpreted"


WAL_FORM = _choose_form(COMPILED_MODULES)
