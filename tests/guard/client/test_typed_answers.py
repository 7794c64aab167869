"""Answers are typed by their request, importable from `guard.client`, and their keywords listed."""

import asyncio
import importlib.util
import inspect
import os
import pydoc
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args, get_overloads, get_type_hints

import pytest

import guard.client
from guard.client import AsyncGuardClient, GuardClient, Pending
from guard.client.codec import ANSWER_TYPES
from guard.client.requests import FillFields, OrderFields
from guard.process.installation import PACKAGES
from guard.protocol.messages import AnyRequest as Request
from guard.protocol.messages import ErrorReply, Order, Reply

CLIENTS = (GuardClient, AsyncGuardClient)


def members(kind: Any) -> set[Any]:
    return set(get_args(kind)) or {kind}


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("method", ["call", "send"])
def test_each_request_has_the_answers_that_the_client_takes(client: Any, method: str) -> None:
    """The overloads, against the table by which replies are matched."""
    wrapper = Pending if client is GuardClient else asyncio.Future
    told = {}
    for overload in get_overloads(getattr(client, method)):
        hints = get_type_hints(overload)
        answer = hints["return"]
        if method == "send":
            assert answer.__origin__ is wrapper
            (answer,) = get_args(answer)
        told[hints["request"]] = members(answer)
    raised = {ErrorReply} if method == "call" else set()
    assert told.pop(Request) == members(Reply) - raised
    assert told == {request: set(kinds) - raised for request, kinds in ANSWER_TYPES.items()}


def test_requests_and_answers_are_importable_from_the_front_door() -> None:
    for kind in (*get_args(Request), *get_args(Reply)):
        assert getattr(guard.client, kind.__name__) is kind
        assert kind.__name__ in guard.client.__all__
    assert {"Request", "Reply"} <= set(guard.client.__all__)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    ("method", "fields"),
    [("order", OrderFields), ("new_order", OrderFields), ("fill", FillFields),
     ("new_fill", FillFields)],
)  # fmt: skip
def test_help_lists_each_keyword_and_its_default(client: Any, method: str, fields: Any) -> None:
    parameters = dict(inspect.signature(getattr(client, method)).parameters)
    del parameters["self"]
    assert list(parameters) == list(fields.__annotations__)
    for name, parameter in parameters.items():
        assert parameter.kind is inspect.Parameter.KEYWORD_ONLY
        is_required = parameter.default is inspect.Parameter.empty
        assert is_required == (name in fields.__required_keys__)
    text = pydoc.plain(pydoc.render_doc(getattr(client, method)))
    assert "client_order_id: str" in text
    if "order" in method:
        assert "time_in_force: Literal['day', 'ioc', 'fok', 'gtc'] = 'day'" in text
        assert parameters["allowed_providers"].default == 2**64 - 1
        assert set(parameters) == set(Order.__struct_fields__) - {"request_id"}


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="mypy is not installed")
def test_a_type_checker_knows_each_answer(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path),
         str(Path(__file__).with_name("typed_answers.py"))],
        cwd=tmp_path, env={**os.environ, "MYPYPATH": str(PACKAGES)},
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
