"""Findings -> a page, Markdown, a terminal, the dashboard; here what both kinds of report share. Start with page.py."""
