"""Facts about single arms: calibration, problems in their training curves, their tuning."""
