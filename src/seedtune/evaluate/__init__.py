"""Compare base, tuned model and rivals on the domain's items.

- What is asked: ``suites`` and ``prompts``; ``own_items`` checks the user's.
- Of whom: ``subjects`` names the models, ``local`` (by ``inference``) and ``endpoints`` ask them. ``asking`` is what
  both have in common; ``answers`` keeps what came.
- What an answer is worth: ``outcomes`` knows which scorer reads which suite. ``scorers``, ``exact``, ``constraints``
  and ``programs`` judge, with ``extraction``, ``choices``, ``truths``, ``cloze``, ``keypoints``, ``code_output`` and
  ``judging`` to read by.
- What the numbers are worth: ``statistics`` and ``power``; ``results`` puts them together, ``overlap`` finds items that
  the training data holds, ``looks`` counts how often the test items were used, ``caveats`` and ``markdown`` say it.
- ``stage`` is the whole; ``compare`` and ``gate`` look at runs that are ``finished``.
"""
