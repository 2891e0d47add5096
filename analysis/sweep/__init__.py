"""What the runs of a sweep say: evidence, checks, findings, and what to run next. Start with findings.py."""
