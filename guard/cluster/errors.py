"""What the cluster did, or did not say, so that the guard cannot go on.

They are errors of durability, as those of the log are, and end what they end in the same way.
"""

from wal import WalError


class ClusterError(WalError):
    """The cluster does not let this guard go on. What it holds is as it was."""


class Unreachable(ClusterError):  # noqa: N818 (a state of the cluster, named as one)
    """No session could be had: nothing was said, and nothing has changed."""


class Unknown(ClusterError):  # noqa: N818 (what is known of a statement, named as that)
    """Nobody knows what became of a statement: it may be on the quorum, on one node, or nowhere."""


class Unfit(ClusterError):  # noqa: N818 (a state of the cluster, named as one)
    """A commit would not wait for those it must: the settings are not as the configuration demands.
    Nothing has changed. A node that was just made the primary may hear of them a moment later."""


class Fenced(ClusterError):  # noqa: N818 (a state of the guard, named as one)
    """Another epoch has begun: this guard may answer nobody any more."""


class Diverged(ClusterError):  # noqa: N818 (a state of the log, named as one)
    """The local log and the cluster's rows hold different records under one sequence."""
