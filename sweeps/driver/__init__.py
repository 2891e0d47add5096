"""Start, drive and stop a sweep or an ablation."""
