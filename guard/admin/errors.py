"""The one error of the admin endpoint: what was asked cannot be done. Pure."""


class AdminError(ValueError):
    """A request that cannot be done. Nothing has changed."""

    def __init__(self, code: str, field: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.field = field
