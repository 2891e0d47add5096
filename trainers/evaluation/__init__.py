"""From logits to metrics: scores, temperature, pruning, FGSM."""
