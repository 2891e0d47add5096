"""Callbacks that report to a sweep from the training loops of other libraries; each imports its own library alone."""
