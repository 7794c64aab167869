"""What the kernel raises.

Owns: the kernel's exceptions, of two kinds. Bad input (`KernelInputError` and its children) is the
caller's: the message names the field, the value and what is allowed, and nothing has changed.
`InvariantError` is our own bug: something that must hold does not, and nothing that the process
holds can be trusted any more.

Must not: carry control flow. An order that is refused is a decision, a reservation that is refused
is a result; neither is an exception.
"""


class KernelInputError(ValueError):
    """A value that the kernel cannot take. The message names the field, the value and the range."""


class PolicyError(KernelInputError):
    """A policy, or a model in it, that must not be loaded."""


class ReplayMismatchError(KernelInputError):
    """A decision that the policy does not give for the input it is shown with."""


class DigestError(KernelInputError):
    """A text that is no digest: 64 lower-case hexadecimal characters."""


class DigestLengthError(DigestError):
    """It has another length. `length` is in characters."""

    def __init__(self, message: str, length: int) -> None:
        super().__init__(message)
        self.length = length


class DigestCharacterError(DigestError):
    """It has a character that no digest has (upper case too). `offset` is the first one's."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


class StateTrajectoryError(KernelInputError):
    """A chain of states that does not hold together. `step` is where, None where it has none."""

    def __init__(self, message: str, step: int | None = None) -> None:
        super().__init__(message)
        self.step = step


class ArtifactError(KernelInputError):
    """A proof's JSON that has not the form it must have."""


class IncompleteProofError(ArtifactError):
    """A proof envelope that lacks something. `missing` names the fields."""

    def __init__(self, message: str, missing: tuple[str, ...]) -> None:
        super().__init__(message)
        self.missing = missing


class ProofMismatchError(ArtifactError):
    """A proof that is not of what it is shown with. `field` is the first that differs."""

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.field = field


class SnapshotError(KernelInputError):
    """A ledger snapshot that is damaged, or that no ledger can be restored from."""


class OpenHoldsError(SnapshotError):
    """The crate's snapshot form has no holds, and some are open. `active_reservations`: so many."""

    def __init__(self, message: str, active_reservations: int) -> None:
        super().__init__(message)
        self.active_reservations = active_reservations


class InvariantError(RuntimeError):
    """A bug in this program: what must always hold does not."""
