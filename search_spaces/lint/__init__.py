"""Likely mistakes in a space, found before it costs machine hours."""
