"""Runs a program that is given as text, as `python -c` does; started by `child_support`."""

import sys

if __name__ == "__main__":
    exec(compile(sys.argv.pop(1), "<program>", "exec"), {"__name__": "__main__"})
