"""The daemon's inside: what arrives, is decided, goes to the disk and is answered."""
