"""What makes two requests the same one, over their types."""

import msgspec

from guard.protocol.messages import Fill, Order


def content_of(request: Order | Fill) -> tuple[object, ...]:
    """The fields that make two requests the same request: all but `request_id`."""
    return msgspec.structs.astuple(request)[:-1]


def first_difference(one: Order | Fill, other: Order | Fill) -> str | None:
    """The name of the first field, in the protocol's order, in which the two differ."""
    for name, left, right in zip(
        one.__struct_fields__, content_of(one), content_of(other), strict=False
    ):
        if left != right:
            return name
    return None
