"""The command line: the commands by what they do, and their options."""
