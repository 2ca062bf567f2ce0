"""The recipe: one YAML file, its types, its reader and its error messages."""
