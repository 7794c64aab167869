"""How long a test waits for what must come: a bound on hanging, far above what it takes on a busy
machine, and nothing that is measured.
"""

from typing import Final

PATIENCE_S: Final = 120.0
