"""Optimizers, parameter groups and schedules, built from a recipe."""
