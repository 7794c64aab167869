"""The log's records: what was decided as text, and that text read back."""
