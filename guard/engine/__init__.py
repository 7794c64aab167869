"""The one state machine: the state, what is decided of a request on it, and what that changes.

Pure: no socket, file or clock. It knows requests and outcomes (`guard.protocol`), and neither how
they are recorded nor who sent them.
"""
