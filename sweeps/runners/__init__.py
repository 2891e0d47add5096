"""Who trains the jobs: the contract, the in-process runner, the worker."""
