"""What is said to the guard and what it says: requests, outcomes, and both their encodings.

Owns the order protocol (`guard/PROTOCOL.md`). It knows no state: what is decided of a request is
`guard.engine`'s. Imports nothing else of `guard`.
"""
