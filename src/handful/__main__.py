"""`python -m handful` is the command line."""

from handful.cli.main import main

main()
