"""Who causes administrative events. Pure."""

from dataclasses import dataclass
from typing import TypeVar

from guard.engine.administrative import Administrative
from guard.protocol.ranges import LOCAL_CLIENT

EventType = TypeVar("EventType", bound=Administrative)


@dataclass(frozen=True, slots=True)
class Actor:
    """Who causes administrative events, why, when, and in which batch."""

    received_at_ns: int
    batch_first_sequence: int
    by: str
    why: str
    person: str = ""  # of whom more than one may be needed (`guard.engine.people`)

    def event(self, kind: type[EventType], **fields: object) -> EventType:
        """An administrative event of that kind, in this actor's name."""
        return kind(
            received_at_ns=self.received_at_ns,
            client=LOCAL_CLIENT,
            batch_first_sequence=self.batch_first_sequence,
            by=self.by,
            why=self.why,
            **fields,
        )
