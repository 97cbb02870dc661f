"""Supervised fine-tuning with LoRA on TRL and PEFT.

``dataset`` turns examples into token ids and labels, ``steps`` says which of them each optimizer step takes, ``fused``
holds the kernels, ``trainer`` is TRL's trainer over those, ``build`` puts a training together in each of the processes
that ``launch`` starts. ``progress`` and ``watch`` follow it, ``checkpoints`` finds where to go on, ``card`` writes the
model card, ``stage`` is the whole.
"""
