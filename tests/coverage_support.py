"""Writes the coverage page: `python tests/coverage_support.py`, behind a change of the checks."""

from pathlib import Path

from guard.audit.coverage import coverage_page

PAGE_FILE = Path(__file__).resolve().parent.parent / "guard" / "LIMITS.md"

if __name__ == "__main__":
    PAGE_FILE.write_text(coverage_page())
