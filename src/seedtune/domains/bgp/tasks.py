"""Tasks that this domain makes from its own data."""

from seedtune.domains.bgp.reading import make_tasks

__all__ = ["make_tasks"]
