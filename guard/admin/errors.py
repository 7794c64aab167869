"""The one error of the admin endpoint: what was asked cannot be done. Pure."""

from guard.admin.bodies import BodyError


class AdminError(BodyError):
    """An operator's request that cannot be done. Nothing has changed."""
