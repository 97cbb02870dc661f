"""What requests say and how their replies are read: pure functions, and the templates beside them.

``prompting``, ``parsing`` and ``structured`` are of whole tasks (alpaca mode), ``classic`` and ``instances`` of the
paper's three steps; ``strict`` has the same functions with the originals' constants and faults; ``judging`` is the LLM
judge's.
"""
