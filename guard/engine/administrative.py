"""What every event begins with that a person or a start-up caused. Pure.

A part of `guard.engine.events`, which stands here so that these may be spread over several modules.
"""

from guard.engine.request_events import Event


class Administrative(Event):
    """An event that a person or a start-up caused.

    `action_id`, where it is said: of the operator's action that the event is, done once.
    """

    by: str
    why: str
