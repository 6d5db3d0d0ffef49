"""``python -m hub``: the command line."""

from hub.cli.main import main

if __name__ == "__main__":
    main()
