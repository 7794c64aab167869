"""Shares a firm's budgets among guards: a process beside each, between it and the firm's table.

Owns how the rules of slices (`guard.cluster.slices`) become an operator's actions at the guard's
admin endpoint (`movements`, pure), and the course of it (`agent`). The daemon knows nothing of it.
"""
