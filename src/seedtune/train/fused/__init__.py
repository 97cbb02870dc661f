"""LoRA training at the speed of the GPU, on TRL's trainer and PEFT's adapters.

Rows are packed without padding (``packing``), each row attends to itself alone (``attention``), a LoRA linear layer is
one function forward and backward (``lora``), and norm, rotation, SwiGLU and loss are one kernel each (``layers``,
``loss``). ``llama`` puts them into a LLaMA's decoder layers, ``trainer`` keeps the host out of the GPU's way.

Each piece is a switch of :class:`~seedtune.train.fused.llama.Fusion`, and each does what stock PEFT does: parameters,
names and saved adapters are untouched. Not covered: FSDP, quantised base weights, DoRA and other LoRA variants; such
layers keep their stock forward.
"""
