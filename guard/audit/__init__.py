"""For who was not there: the day explained, proofs that travel, logs that others can read.

Owns what joins `kernel` and `wal` after the fact or outside the daemon. Nothing here runs while an
order waits: `guard.engine` and `guard.pipeline` import none of it.
"""
