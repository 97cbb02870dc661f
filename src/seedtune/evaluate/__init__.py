"""Compare base and tuned model on the domain's items.

``suites`` and ``prompts`` say what is asked, ``inference`` asks a model, and ``answers`` keeps what came. ``scorers``
judge it, with ``extraction``, ``cloze``, ``keypoints`` and ``judging`` to read an answer by; ``statistics`` and
``power`` say what the numbers are worth, and ``results`` puts them together. ``overlap`` finds items that the training
data holds, ``looks`` counts how often the test items were used, ``markdown`` writes the report; ``stage`` is the whole.
All but ``inference``, ``answers``, ``looks`` and ``stage`` are pure.
"""
