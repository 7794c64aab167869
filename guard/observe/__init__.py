"""A guard watched from outside: one picture of it, as a page, as metrics, for a terminal.

A process of its own, beside the daemon, which knows nothing of it: it asks the admin endpoint and
reads durable records. It only looks: nothing here acts, and nothing waits for it.

`picture` puts together what is known (pure: records and replies in, plain data out); `watch` asks
and reads, and goes on asking where nobody answers; `metrics`, `web` and `page` show the picture.
Whoever shows it otherwise (a terminal) takes `watch` and `picture` and nothing else.
"""
