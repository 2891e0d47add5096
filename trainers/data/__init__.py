"""Splits that are loaded batch by batch: a map-style dataset, or an iterable of batches."""
