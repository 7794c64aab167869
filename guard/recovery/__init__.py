"""A start: from a log and its checkpoints to the engine's state, and how a checkpoint is taken.

Owns what a start finds out and may refuse: a log that is not there, a torn end, records that were
durable and are gone. It serves nobody and decides nothing: a record's effect is applied.
"""
