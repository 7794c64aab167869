"""Spans through the OpenTelemetry API, where it is installed (the extra `otel`).

Owns: the one place that knows of it, and the spans' names: `prescribe`, `verify`, `budget`, `wal`.

How it works: `spanned` wraps a method where the API can be imported, and otherwise gives the very
function back, so that it costs nothing then. With the API and no provider set (no SDK) it opens no
span. An exception ends the span as an error and goes on.

Must not: be on the daemon's order path, or put record contents into a span: numbers and names only.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from typing import Any, Final, TypeVar

INSTRUMENTATION_NAME: Final = "pretrade_guard"

Attributes = dict[str, Any]
_Function = TypeVar("_Function", bound=Callable[..., Any])


def _find_api() -> Any:
    """The API's module, or None where it is not installed."""
    try:
        return import_module("opentelemetry.trace")
    except ImportError:
        return None


_API: Final = _find_api()
_TRACER: Final = None if _API is None else _API.get_tracer(INSTRUMENTATION_NAME)


def _is_idle() -> bool:
    """Whether nobody has set a provider, so that no span would be recorded."""
    return isinstance(_API.get_tracer_provider(), _API.ProxyTracerProvider)


def spanned(
    name: str, describe: Callable[..., Attributes] | None = None
) -> Callable[[_Function], _Function]:
    """Give each call of a method a span; `describe(result, *arguments)` gives its attributes."""

    def decorate(function: _Function) -> _Function:
        if _TRACER is None:
            return function

        def finish(span: Any, result: Any, arguments: tuple[Any, ...]) -> None:
            span.set_attribute("pretrade_guard.operation", function.__name__)
            if describe is not None and span.is_recording():
                for key, value in describe(result, *arguments).items():
                    span.set_attribute(f"pretrade_guard.{key}", value)

        if inspect.iscoroutinefunction(function):

            @wraps(function)
            async def traced_later(*arguments: Any, **named: Any) -> Any:
                if _is_idle():
                    return await function(*arguments, **named)
                with _TRACER.start_as_current_span(name) as span:
                    result = await function(*arguments, **named)
                    finish(span, result, arguments)
                    return result

            return traced_later  # type: ignore[return-value]

        @wraps(function)
        def traced(*arguments: Any, **named: Any) -> Any:
            if _is_idle():
                return function(*arguments, **named)
            with _TRACER.start_as_current_span(name) as span:
                result = function(*arguments, **named)
                finish(span, result, arguments)
                return result

        return traced  # type: ignore[return-value]

    return decorate
