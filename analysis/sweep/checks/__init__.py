"""Checks of a finished search: PASS, WARN or FAIL, each with its evidence."""
