"""The figures that Shiftwork promises, measured: `make bench`."""
