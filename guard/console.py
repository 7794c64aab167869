"""Where the demo and the bench print their tables: rich's console, ended as the other commands are.

Owns what is different here: an output that nobody reads any more raises BrokenPipeError, which the
command line turns into its exit code; rich itself would end the process with another.
"""

from typing import NoReturn

import rich.console


class Console(rich.console.Console):
    """Rich's, but for a broken pipe."""

    def on_broken_pipe(self) -> NoReturn:
        """Called where BrokenPipeError has been caught, to be raised again."""
        raise
