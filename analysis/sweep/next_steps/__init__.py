"""What to run next after a sweep."""
