"""`python -m guard.cli` is `pretrade-guard`."""

import sys

from guard.cli import main

if __name__ == "__main__":
    sys.exit(main())
