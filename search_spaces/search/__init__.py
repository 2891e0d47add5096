"""Distributions, parameters, constraints, and sequences of points."""
