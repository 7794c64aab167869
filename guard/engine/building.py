"""A policy as a record or a configuration has it → the kernel's. Pure."""

from guard.engine.policy_content import PolicyContent
from kernel import KernelModel, PolicySnapshot


def build_policy(content: PolicyContent) -> PolicySnapshot:
    """The kernel's policy of a recorded or configured one. Raises PolicyError naming the field."""
    fields = {
        name: getattr(content, name) for name in content.__struct_fields__ if name != "models"
    }
    models = [
        KernelModel(**{name: getattr(model, name) for name in model.__struct_fields__})
        for model in content.models
    ]
    return PolicySnapshot(**fields, models=models)
