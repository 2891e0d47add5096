"""Check a task and its recipe before a sweep: `sweeps check` and the LR range test."""
