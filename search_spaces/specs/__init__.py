"""The contents of spec files: `SpaceSpec`, `AblationSpec`, and their parts."""
