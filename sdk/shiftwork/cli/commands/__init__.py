"""The commands of `shiftwork`, one module for each subject."""
