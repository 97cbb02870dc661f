"""The kinds of questions, by name."""

from seedtune.domains.bgp.reading.draw import Family
from seedtune.domains.bgp.reading.families.changes import CHANGES
from seedtune.domains.bgp.reading.families.incidents import INCIDENTS
from seedtune.domains.bgp.reading.families.paths import PATHS
from seedtune.domains.bgp.reading.families.policy import POLICY
from seedtune.domains.bgp.reading.families.tables import TABLES

__all__ = ["FAMILIES"]

FAMILIES: dict[str, Family] = {**PATHS, **TABLES, **CHANGES, **INCIDENTS, **POLICY}
"""Every family; a level's tasks go round all that have it."""
