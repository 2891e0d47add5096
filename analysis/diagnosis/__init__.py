"""Rule-based diagnosis of the training curves of one run. Start with diagnose.py."""
