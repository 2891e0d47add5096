"""Local and remote folders, checksummed files, checkpoints and the cache."""
