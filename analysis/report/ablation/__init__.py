"""The report of an ablation: its sections, its files, and what the terminal says."""
