"""Device, precision, ranks and memory of a training process."""
