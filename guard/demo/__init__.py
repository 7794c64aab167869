"""`pretrade-guard demo`: recorded order flow, played to a real daemon by the real client."""
