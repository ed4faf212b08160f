"""Run the command line: `python -m shiftwork` does what `shiftwork` does."""

from shiftwork.cli import main

if __name__ == "__main__":
    main()
