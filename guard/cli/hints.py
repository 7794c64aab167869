"""What is said of a command that is none, where it is another's name: the protocol's, mostly.

Owns the table of such names and the parser that says it. How it fails: it adds words to an error.
"""

import argparse
import re
from typing import Final, NoReturn

# What `guard/ADMIN.md` calls an action or a query, where its verb is called otherwise.
NAMES: Final = {
    "activate_policy": "admin policy",
    "accept_fill": "admin accept",
    "bust_fill": "admin bust",
    "close": "close",
    "close_day": "close",
    "correct_fill": "admin correct",
    "define_instrument": "admin define",
    "lift_latch": "admin lift",
    "set_approvals": "admin approvals",
    "free_hold": "admin free",
    "lower_budget": "admin lower",
    "open_orders": "admin orders",
    "set_cap": "admin cap",
    "set_limits": "admin limits",
    "stats": "observe",
    "uncharged_fills": "admin uncharged",
}
_CHOICE = re.compile(r"invalid choice: '([^']*)'")


class HintingParser(argparse.ArgumentParser):
    """A parser whose error names the command that was meant."""

    def error(self, message: str) -> NoReturn:
        """Ends the process with exit code 2."""
        choice = _CHOICE.search(message)
        meant = choice and NAMES.get(choice[1].replace("-", "_"))
        if meant:
            message += f": that is `pretrade-guard {meant}`"
        super().error(message)
