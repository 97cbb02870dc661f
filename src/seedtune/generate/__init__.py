"""Self-Instruct: new instructions, inputs and outputs from a prompt and seed tasks.

A request goes through ``sequence`` (what is request i?), ``composing`` (with ``sampling``, ``documents`` and
``wording``), ``flight`` (out and back), ``reading`` and ``deciding`` (with ``filters``). ``journal`` is the record of
what happened, ``state`` what follows from it; ``limits`` ends a run; ``funnel``, ``progress`` and ``views`` show it;
``settings`` says what may not change; ``stage`` is the whole.
"""
