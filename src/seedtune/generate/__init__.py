"""Self-Instruct: new instructions, inputs and outputs from a prompt and seed tasks.

``sampling``, ``prompting``, ``parsing`` and ``filters`` are pure; ``journal`` is the record of what happened;
``stage`` is the loop.
"""
