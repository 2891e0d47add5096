"""Small reference models, one per file."""
