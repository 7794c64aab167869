"""The feed: the durable lines of the log as they come, to whoever subscribes (`guard/FEED.md`).

Owns what its messages are, which lines a subscriber wants, and where lines are taken from: what has
just become durable, and is in memory still, or the log's files. Who is given how much and when,
`guard.server.feed_door` says.
"""
