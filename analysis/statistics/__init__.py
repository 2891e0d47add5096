"""Paired comparisons with numpy and scipy: effects, intervals, verdicts and sequential tests. Start with paired.py."""
