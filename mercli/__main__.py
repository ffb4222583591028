"""``python -m mercli`` is ``mer``: torchrun needs a module."""

from mercli.cli.app import main

main()
