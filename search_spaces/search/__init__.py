"""What varies: distributions, parameters, constraints, and sequences of points."""
