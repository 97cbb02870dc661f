"""What a candidate is rejected for: its own form, or likeness to what is there.

``form`` needs nothing but the candidate. ``further`` are the optional measures of likeness beside ROUGE-L: ``minhash``
and ``embedding``. ``execution`` runs the programs among the answers.
"""
