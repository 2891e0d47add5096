"""Trainings that are commands: start them, read their metrics, stop them."""
