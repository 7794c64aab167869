"""Spans: what they say where the API is installed, and that there are none where it is not."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace

import guard
from child_support import code
from guard.audit import AsyncAuditedLog, AuditedLog, DecisionEngine, MetadataError, spans
from kernel import EngineConfig
from library_support import policy_of, request_of

PACKAGES = Path(guard.__file__).parent.parent


class RecordingSpan(trace.NonRecordingSpan):
    """A span of the API that keeps what it is told."""

    def __init__(self, name: str) -> None:
        super().__init__(trace.INVALID_SPAN_CONTEXT)
        self.name = name
        self.attributes: dict[str, Any] = {}
        self.errors: list[BaseException] = []
        self.status: Any = None
        self.ended = False

    def is_recording(self) -> bool:
        return not self.ended

    def set_attribute(self, key: str, value: Any) -> None:
        self.attributes[key.removeprefix("pretrade_guard.")] = value

    def record_exception(self, exception: BaseException, *_: Any, **__: Any) -> None:
        self.errors.append(exception)

    def set_status(self, status: Any, description: str | None = None) -> None:
        self.status = status

    def end(self, end_time: int | None = None) -> None:
        self.ended = True


class RecordingTracer:
    """The API's way of opening a span, over spans that are kept."""

    def __init__(self) -> None:
        self.spans: list[RecordingSpan] = []

    @contextmanager
    def start_as_current_span(self, name: str) -> Iterator[trace.Span]:
        span = RecordingSpan(name)
        self.spans.append(span)
        with trace.use_span(span, end_on_exit=True) as current:
            yield current


@pytest.fixture
def tracer(monkeypatch: pytest.MonkeyPatch) -> RecordingTracer:
    recording = RecordingTracer()
    monkeypatch.setattr(spans, "_TRACER", recording)
    monkeypatch.setattr(spans, "_is_idle", lambda: False)  # a provider is set once a process
    return recording


async def test_without_a_provider_no_span_is_opened(
    tmp_path: Path, tracer: RecordingTracer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(spans, "_TRACER", tracer)
    engine = DecisionEngine(policy_of(), EngineConfig().open_ledger())
    decision = engine.prescribe(request_of())
    async with AsyncAuditedLog.open(tmp_path / "log") as log:
        await log.append_verified_audited(engine.policy, request_of(), decision)
    assert tracer.spans == []


def test_with_a_provider_its_tracer_is_used() -> None:
    program = """
import sys
from contextlib import contextmanager
from opentelemetry import trace
from guard.audit import DecisionEngine
from kernel import EngineConfig

class Tracer(trace.NoOpTracer):
    @contextmanager
    def start_as_current_span(self, name, *arguments, **named):
        print(name)
        yield trace.INVALID_SPAN

class Provider(trace.TracerProvider):
    def get_tracer(self, *arguments, **named):
        print(arguments[0])
        return Tracer()

engine = DecisionEngine(None, EngineConfig().with_tenant("a", 5).open_ledger())
engine.try_reserve("a", 1)
trace.set_tracer_provider(Provider())
engine.try_reserve("a", 1)
"""
    done = subprocess.run(
        code(program), capture_output=True, text=True, timeout=60, check=False
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("pretrade_guard\nbudget\n", "")


def test_an_order_of_events_is_an_order_of_spans(tmp_path: Path, tracer: RecordingTracer) -> None:
    policy, request = policy_of(), request_of()
    engine = DecisionEngine(policy, EngineConfig().with_tenant("a", 10).open_ledger())
    decision = engine.prescribe(request)
    engine.prescribe_batch([request, request])
    assert engine.verify(request, decision).is_valid
    _, hold = engine.try_reserve("a", 5)
    engine.try_reserve("a", 50)
    assert hold is not None
    engine.commit(hold, 4)
    engine.release(99)
    engine.top_up_tenant("a", 1)
    with AuditedLog.open(tmp_path / "log") as log:
        log.append_verified_audited(policy, request, decision)
        log.sync()
        with pytest.raises(MetadataError):
            log.append_verified_audited(policy, request, decision, 1.5)
    told = [(span.name, *span.attributes.values()) for span in tracer.spans]
    assert told == [
        ("prescribe", "prescribe", 1, "execute_requested", "requested_model_maximizes_utility"),
        ("prescribe", "prescribe_batch", 2),
        ("verify", "verify", "valid"),
        ("budget", "try_reserve", "reserved"),
        ("budget", "try_reserve", "insufficient"),
        ("budget", "commit", "committed"),
        ("budget", "release", "missing_reservation"),
        ("budget", "top_up_tenant", "topped_up"),
        ("wal", "append_verified_audited", 1),
        ("wal", "sync", 1),
        ("wal",),
    ]
    assert list(tracer.spans[0].attributes) == ["operation", "request_sequence", "action", "reason"]
    assert all(span.ended for span in tracer.spans)
    failed = tracer.spans[-1]
    assert [type(error) for error in failed.errors] == [MetadataError]
    assert failed.status.status_code is trace.StatusCode.ERROR


async def test_async_calls_have_spans_that_last(tmp_path: Path, tracer: RecordingTracer) -> None:
    policy, request = policy_of(), request_of()
    async with AsyncAuditedLog.open(tmp_path / "log") as log:
        await log.append_verified_audited(policy, request, policy.prescribe(request))
        await log.append_batch([])
        await log.sync()
    told = [(span.name, *span.attributes.values(), span.ended) for span in tracer.spans]
    assert told == [
        ("wal", "append_verified_audited", 1, True),
        ("wal", "append_batch", True),
        ("wal", "sync", 1, True),
    ]


def test_without_the_api_a_method_is_itself() -> None:
    program = """
import sys
sys.modules["opentelemetry"] = None
from guard.audit import AsyncAuditedLog, AuditedLog, DecisionEngine, spans
for owner in (AsyncAuditedLog, AuditedLog, DecisionEngine):
    methods = [value for value in vars(owner).values() if type(value) is type(lambda: 0)]
    assert methods and not any(hasattr(method, "__wrapped__") for method in methods)
assert not any(name.startswith("opentelemetry.") for name in sys.modules)
print(spans._TRACER)
"""
    done = subprocess.run(
        code(program), capture_output=True, text=True, timeout=60, check=False
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("None\n", "")
