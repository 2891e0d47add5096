"""Convert the sweep files of W&B and Hydra into a space file."""
