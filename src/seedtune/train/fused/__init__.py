"""LoRA training at the speed of the GPU, on TRL's trainer and PEFT's adapters.

Rows are packed without padding (``packing``), each row attends to itself alone (``attention``), a LoRA linear layer is
one function forward and backward (``lora``), and norm, rotation, SwiGLU and loss are one kernel each (``layers``,
``loss``). ``llama`` puts them into a LLaMA's decoder layers, ``memory`` says how much a device can take at once, and
``selftest`` compares the whole with the stock forward before the first step.

Each piece is a switch of :class:`~seedtune.train.fused.llama.Fusion`, and each does what stock PEFT does: parameters,
names and saved adapters are untouched. Frozen weights may be in 8 bits (``fp8``) or 4 (``four_bit``). Not covered:
FSDP, DoRA and other LoRA variants; such layers keep their stock forward.
"""
