"""Supervised fine-tuning with LoRA on TRL and PEFT.

``dataset`` turns examples into token ids and labels, ``checkpoints`` finds where to go on, ``card`` writes the model
card, ``stage`` puts them together.
"""
