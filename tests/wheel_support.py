"""The reference's wheel: our inputs and policies as it takes them."""

from typing import Any

import calybris._core as wheel

from kernel import (
    INPUT,
    KernelInput,
    PolicySnapshot,
)


def wheel_policy(policy: PolicySnapshot) -> Any:
    fields = policy.as_dict()
    models = [wheel.KernelModel(**model) for model in fields.pop("models")]
    return wheel.PolicySnapshot(**fields, models=models)


def wheel_input(request: KernelInput) -> Any:
    return wheel.KernelInput(**dict(zip(INPUT.field_names, request.values(), strict=True)))
