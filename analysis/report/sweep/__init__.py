"""The report of a sweep: its sections, its files, and what the terminal says."""
