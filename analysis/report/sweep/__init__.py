"""The report of a sweep: sections, files and terminal output."""
