"""Paired comparisons in numpy and scipy alone: effects, intervals, verdicts, and when to look. Start with paired.py."""
