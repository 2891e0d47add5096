"""Everything that knows Optuna."""
