"""Train a run with a command, behind the interface of a training."""
