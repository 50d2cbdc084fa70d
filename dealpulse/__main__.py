"""`python -m dealpulse` is `dealpulse`."""

from dealpulse.cli import main

if __name__ == "__main__":
    main()
