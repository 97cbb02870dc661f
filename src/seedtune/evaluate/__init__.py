"""Compare base and tuned model on the domain's items.

``prompts``, ``scorers`` and ``statistics`` are pure; ``inference`` runs the models; ``stage`` puts them together.
"""
