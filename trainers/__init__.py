"""One recipe, one task, one seed -> epoch reports. Start with training.py."""
