"""Read the metrics of a process from what it prints and from the files that it writes."""
