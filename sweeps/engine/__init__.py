"""Decide what runs next and what becomes of a run; read `conductor.py` first."""
