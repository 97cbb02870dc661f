"""seedtune: grow a domain-expert LLaMA from a handful of seed tasks.

generate (Self-Instruct) -> train (LoRA) -> evaluate (base against tuned) -> report.
"""

from importlib.metadata import version

__version__ = version("seedtune")
