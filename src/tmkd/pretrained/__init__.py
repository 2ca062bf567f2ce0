"""Pretrained models: a name of the recipe → a checked local folder; made once where a package has another form."""
