"""Record-reading tasks: an excerpt of routing data, a question, and an answer that a reference analysis computes."""

from seedtune.domains.bgp.reading.families import FAMILIES
from seedtune.domains.bgp.reading.making import LEVELS, item_lines, make_items, make_tasks
from seedtune.domains.bgp.reading.renaming import NUMBERS, TaskSplit

__all__ = ["FAMILIES", "LEVELS", "NUMBERS", "TaskSplit", "item_lines", "make_items", "make_tasks"]
