"""Where a process of ours begins that another of ours has started (`guard.process.own_process`).

Run by its path and never imported: until it has set up where modules come from, nothing of ours can
be told from what has the same name elsewhere. Arguments: the folder of the packages; what the
installation must say that it is ("" for whatever it is); how many entries the starter's module path
has, and these; a module or a script, and its own arguments.

How it works: modules come from the starter's path, so that the libraries are the starter's too, and
the product's packages from that folder alone, whatever else has their names. How it fails: exit 1
with one line where they are not there, or are another installation than the starter is.
"""

import sys


def main() -> None:
    """Reads its arguments, and becomes the program that they name."""
    packages, expected, count = sys.argv[1:4]
    beyond = 4 + int(count)
    sys.path[:] = sys.argv[4:beyond]
    program = sys.argv[beyond]
    sys.argv[:] = sys.argv[beyond:]
    # Only now: these are modules, too.
    import runpy
    from importlib.abc import MetaPathFinder
    from importlib.machinery import ModuleSpec, PathFinder

    class OwnPackages(MetaPathFinder):
        """Finds the product's packages in their folder, and nowhere else."""

        def find_spec(self, name: str, _path: object, _target: object = None) -> ModuleSpec | None:
            """Asked by the import system before any other finder."""
            if name not in ("forms", "kernel", "wal", "guard"):
                return None
            spec = PathFinder.find_spec(name, [packages])
            if spec is None or spec.origin is None:
                _refuse(f"there is no package {name} in {packages} any more")
            return spec

    sys.meta_path.insert(0, OwnPackages())
    if expected:
        from guard.process.installation import identity

        if (found := identity()) != expected:
            _refuse(f"it is {found}; what started it is {expected}")
    if program.endswith(".py"):
        runpy.run_path(program, run_name="__main__")
    else:
        runpy.run_module(program, run_name="__main__", alter_sys=True)


def _refuse(reason: str) -> None:
    sys.stderr.write(
        "pretrade-guard: refuses to run as a process of another installation than its starter's: "
        f"{reason}; start that one again\n"
    )
    raise SystemExit(1)


if __name__ == "__main__":
    main()
