"""Read the database, compare, draw, export."""
