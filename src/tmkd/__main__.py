"""`python -m tmkd`: the command line, where no script is installed."""

from tmkd.cli.app import main

if __name__ == "__main__":
    main()
