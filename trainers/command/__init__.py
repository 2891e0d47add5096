"""Turn the parameters of a run into the start of a program: its arguments, environment variables and config file."""
