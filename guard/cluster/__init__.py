"""The log on a cluster: its rows in PostgreSQL, who may write them, and who follows them."""
