"""Train one recipe with one seed on one task and report every epoch. Start with loop/training.py."""
