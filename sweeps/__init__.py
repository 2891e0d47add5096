"""Decide, run, record. Start with conductor.py."""
