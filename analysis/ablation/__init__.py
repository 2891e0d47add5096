"""What the pairs of an ablation say: evidence, claims, findings, in numbers and sentences. Start with findings.py."""
