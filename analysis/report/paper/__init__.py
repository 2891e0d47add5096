"""An ablation as parts of a paper: tables, a paragraph on methods, answers to checklists, and references."""
