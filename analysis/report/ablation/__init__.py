"""The report of an ablation: sections, files and terminal output."""
