"""Analysis of an ablation: evidence, claims, findings and sentences. Start with findings.py."""
