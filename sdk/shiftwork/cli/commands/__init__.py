"""The commands of `shiftwork`, a module a subject."""
