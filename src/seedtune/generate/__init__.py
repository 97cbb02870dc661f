"""Self-Instruct: new instructions, inputs and outputs from a prompt and seed tasks.

``sampling``, ``prompting``, ``parsing`` and ``filters`` are pure; ``journal`` is the record of what happened, ``state``
what follows from it; ``stage`` is the loop.
"""
