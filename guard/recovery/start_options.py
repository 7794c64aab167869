"""The options of `run` that a person gives once, and the start that waits for one.

Owns their names and that error. Each of them lets a start do what no start does by itself, and is
refused where there is no call for it: an option that is left in a service's command line decides
nothing tomorrow.
"""

from typing import Final

from guard.config.errors import ConfigError

NEW_LOG_OPTION: Final = "--new-log"
NEW_ANCHOR_OPTION: Final = "--new-anchor"
ACCEPT_LOSS_OPTION: Final = "--accept-loss"
ACCEPT_CLOCK_OPTION: Final = "--accept-clock"
TAKE_OVER_OPTION: Final = "--take-over"
CLOSE_DAY_OPTION: Final = "--close-day"


class OptionNeededError(ConfigError):
    """The start waits for an option that only a person may give, or to be started without one."""
