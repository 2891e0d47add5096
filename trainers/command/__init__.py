"""Trainings that are commands: start the program, read its metrics, stop it with everything that it has started."""
