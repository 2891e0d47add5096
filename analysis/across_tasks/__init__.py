"""Analysis of an ablation of several tasks, from the findings of each of them. Start with findings.py."""
