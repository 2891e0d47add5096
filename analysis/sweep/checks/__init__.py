"""Checks of a search: PASS, WARN or FAIL, each with its evidence."""
