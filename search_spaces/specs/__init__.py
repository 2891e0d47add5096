"""What a file asks for: `SpaceSpec`, `AblationSpec`, and their parts."""
