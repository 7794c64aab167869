"""The process itself: memory, descriptors, signals, children, and what it tells its operator.

Owns everything that a daemon of any kind would need. It knows nothing of orders and logs, and
imports nothing else of `guard` but its clock.
"""
