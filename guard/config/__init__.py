"""The configuration: the file, its keys, and what it changes on a log that exists already."""
