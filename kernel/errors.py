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


class InvariantError(RuntimeError):
    """A bug in this program: what must always hold does not."""
