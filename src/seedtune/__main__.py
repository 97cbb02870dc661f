"""``python -m seedtune`` is the command ``seedtune``."""

from seedtune.cli import main

main()
