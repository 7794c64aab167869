"""Has a module's functions tell the fuzzer which way they go. It runs interpreted."""

from types import FunctionType, ModuleType

import atheris


def instrument(module: ModuleType) -> None:
    """Has each of its functions tell the fuzzer which way it goes."""
    for owner in (module, *(each for each in vars(module).values() if isinstance(each, type))):
        if getattr(owner, "__module__", module.__name__) != module.__name__:
            continue  # what it has from elsewhere
        for name, each in list(vars(owner).items()):
            if isinstance(each, FunctionType) and each.__module__ == module.__name__:
                setattr(owner, name, atheris.instrument_func(each))
