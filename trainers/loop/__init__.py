"""The training loop; read `training.py` first."""
