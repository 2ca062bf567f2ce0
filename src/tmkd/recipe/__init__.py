"""The recipe: one YAML file, its types, its reader and what is said when it is wrong."""
