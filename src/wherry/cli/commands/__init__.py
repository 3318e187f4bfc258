"""One module for each noun that verbs are about."""
