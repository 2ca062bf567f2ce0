"""The data model, and the readers of what users bring."""
