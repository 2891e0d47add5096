"""Everything printed: the live view, the summary, the tables."""
