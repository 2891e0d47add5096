"""Try a task and its recipe in minutes: `sweeps check` and the LR range test."""
