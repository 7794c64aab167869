"""What tests of the orders socket share: its two forms, and a libzmq that fails as told."""

import ctypes
import importlib.util
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

import pytest

import guard
from guard import rawzmq
from guard.gateway import ROUTER_FORM, RouterFrames

CHECKOUT = Path(guard.__file__).parent.parent
ADDRESSES = rawzmq.function_addresses()
RESULTS = {
    "zmq_msg_init": ctypes.c_int,
    "zmq_msg_init_size": ctypes.c_int,
    "zmq_msg_init_data": ctypes.c_int,
    "zmq_msg_close": ctypes.c_int,
    "zmq_msg_data": ctypes.c_void_p,
    "zmq_msg_size": ctypes.c_size_t,
    "zmq_msg_more": ctypes.c_int,
    "zmq_msg_get": ctypes.c_int,
    "zmq_msg_recv": ctypes.c_int,
    "zmq_msg_send": ctypes.c_int,
    "zmq_getsockopt": ctypes.c_int,
    "zmq_errno": ctypes.c_int,
}
POINTER, SIZE, INT = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "zmq_msg_init_size": (POINTER, SIZE),
    "zmq_msg_init_data": (POINTER, POINTER, SIZE, POINTER, POINTER),
    "zmq_msg_get": (POINTER, INT),
    "zmq_msg_recv": (POINTER, POINTER, INT),
    "zmq_msg_send": (POINTER, POINTER, INT),
    "zmq_getsockopt": (POINTER, INT, POINTER, POINTER),
    "zmq_errno": (),
}

compiled_only = pytest.mark.skipif(
    ROUTER_FORM != "compiled", reason="the interpreted form calls pyzmq, not libzmq"
)


def source_form() -> type[RouterFrames]:
    """The class as the source gives it, whichever form runs."""
    path = str(CHECKOUT / "guard" / "router.py")
    spec = importlib.util.spec_from_file_location(
        "router_source", path, loader=SourceFileLoader("router_source", path)
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    frames: type[RouterFrames] = module.RouterFrames
    return frames


class Libzmq:
    """libzmq's functions, of which one fails as told, by the addresses of callbacks."""

    def __init__(self) -> None:
        self.open_messages = 0
        self.errors: dict[str, list[int]] = {}  # 0: let it pass
        self._error = 0
        self._kept: list[Any] = []
        addresses = []
        for name, address in zip(rawzmq.FUNCTIONS, ADDRESSES, strict=True):
            prototype = ctypes.PYFUNCTYPE(RESULTS[name], *ARGUMENTS.get(name, (POINTER,)))
            callback = prototype(self._wrap(name, prototype(address)))
            self._kept.append(callback)
            addresses.append(ctypes.cast(callback, POINTER).value or 0)
        self.addresses = tuple(addresses)

    def _wrap(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            self._error = self.errors[name].pop(0) if self.errors.get(name) else 0
            if self._error:
                return -1
            result = real(*arguments)
            if name in ("zmq_msg_init", "zmq_msg_init_size", "zmq_msg_init_data"):
                self.open_messages += 1
            elif name == "zmq_msg_close" or (name == "zmq_msg_send" and result >= 0):
                self.open_messages -= 1
            return result

        def last_error() -> int:
            number = self._error or real()
            self._error = 0
            return int(number)

        return last_error if name == "zmq_errno" else call
