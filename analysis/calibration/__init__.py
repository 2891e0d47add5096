"""Calibration of classifiers: bins, calibration errors and reliability diagrams."""
