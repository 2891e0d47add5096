"""Read YAML files into specs, and write specs as YAML."""
