"""Replay: a log's decisions made again, and compared with what it says."""
