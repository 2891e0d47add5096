"""How sure a classifier is, against how right it is: scores, bins, calibration errors, reliability diagrams."""
