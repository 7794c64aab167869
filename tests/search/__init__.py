"""A search for sequences that get past a limit, or that hold an exit up."""
