"""Write findings as a page, Markdown, terminal output and dashboard entries. Start with present.py."""
