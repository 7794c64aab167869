"""The log as rows that people ask in SQL (`guard/ARCHIVE.md`), in a process behind the order path.

Owns what is pulled out of a record (`columns`, pure), tables and views (`schema`, pure), filling
and dropping them (`store`), where lines come from (`sources`) and the log out of its rows again
(`restore`). The daemon knows nothing of it. Needs the extra `cluster`.
"""
