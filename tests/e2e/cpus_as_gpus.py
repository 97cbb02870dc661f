"""``seedtune`` in one of several processes on CPUs; accelerate shards over GPUs alone, and takes them for some."""

from typing import Any

from accelerate.state import DistributedType, PartialState

from seedtune.cli import main

begin = PartialState.__init__


def begin_on_gpus(state: PartialState, *arguments: Any, **rest: Any) -> None:
    begin(state, *arguments, **rest)
    if state.distributed_type == DistributedType.MULTI_CPU:
        state.distributed_type = DistributedType.MULTI_GPU


PartialState.__init__ = begin_on_gpus
main()
