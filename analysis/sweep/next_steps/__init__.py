"""Next steps after a sweep: the winner's recipe, follow-up sweeps and confirming ablations."""
