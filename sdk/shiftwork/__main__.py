"""`python -m shiftwork` is `shiftwork`."""

from shiftwork.cli import main

if __name__ == "__main__":
    main()
