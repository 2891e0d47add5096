"""Start, run and stop a sweep or an ablation."""
