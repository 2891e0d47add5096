"""Read YAML files into specs, write specs as YAML, and replace values in YAML text."""
