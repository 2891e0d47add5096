"""What `sweeps COMMAND` does, a function each; `sweeps.cli` lists them."""
