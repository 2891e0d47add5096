"""Analysis of a sweep: evidence, checks, findings and next steps. Start with findings.py."""
