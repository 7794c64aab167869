"""What a reply says beside its answer: whose it is. Of the oracle; imports nothing of `guard`."""

import re
from typing import Any

IDS = {
    "desk": "[A-Za-z0-9._:/-]{1,32}",
    "client_order_id": "[!-~]{1,64}",
    "fill_id": "[!-~]{1,64}",
    "reduce_id": "[!-~]{1,64}",
    "execution_id": "[!-~]{1,64}",
}


def told(answer: dict[str, Any], request: dict[str, Any], now_ns: int) -> dict[str, Any]:
    """The answer as it leaves; `now_ns`: the guard's time for the request."""
    if request["type"] == "all_or_none":
        first = request["orders"][0]
        if answer["type"] == "error":
            named = {} if answer["code"] == "unknown_type" else ids_of(first)
            return {**answer, **named}
        each = zip(answer["answers"], request["orders"], strict=True)
        answers = [told(one, order, now_ns) for one, order in each]
        return {**answer, "desk": first["desk"], "answers": answers}
    if answer["type"] == "error":
        return {**answer, **ids_of(request)}
    if answer["type"] == "status" and answer["answer"] is not None:
        return {**answer, "answer": {**answer["answer"], "desk": request["desk"]}}
    if answer["type"] in ("admit", "reject"):
        time = {} if answer["repeat"] else {"received_at_ns": now_ns}
        return {**answer, "desk": request["desk"], **time}
    return answer


def ids_of(request: dict[str, Any]) -> dict[str, str]:
    """What an error repeats of its request: names and ids, where they are well formed."""
    return {
        name: request[name]
        for name, form in IDS.items()
        if isinstance(request.get(name), str) and re.fullmatch(form, request[name])
    }
