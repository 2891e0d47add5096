"""Compute metrics from logits: scores, temperature, pruning, FGSM."""
