"""What an operator asks of a running guard: actions that are recorded, and queries.

Owns the admin protocol (`guard/ADMIN.md`): its messages, what each action would do on a state, and
what each query shows of one. Pure: sockets, and the log, are `guard.server.admin_door`'s.
"""
