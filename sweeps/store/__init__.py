"""The database and the journal: the only record of what happened."""
