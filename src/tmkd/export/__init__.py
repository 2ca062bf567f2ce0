"""A student in the forms that other programs read."""
