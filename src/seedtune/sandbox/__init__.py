"""Run a Python program that nobody has read, in a process of its own, with limits, and say what came of it.

A program sees its files, the folders it may import from and Python's standard library, but no installed package and
nothing of seedtune. It has a clean environment, one folder to write to, no network, and no way to other processes. Two
levels give that; the level that ran is in every result.

- ``bubblewrap``: a file system of its own (nothing else is there), namespaces of its own, and a filter of system calls.
- ``landlock``: for machines where bubblewrap or user namespaces cannot be had. The kernel refuses to open anything
  else, and the filter of system calls shuts the network and what Landlock leaves open. A file once written cannot be
  deleted or renamed, so that none escapes being counted: tempfile and multiprocessing's locks do not work.
- ``unsafe``: the limits alone. Only if it is asked for.

The verdict is formed outside, after all processes have ended: a monitor that the program cannot reach reports how it
ended, and seedtune measures time, memory and output itself. What a program prints or exits with decides nothing else.

Not covered:

- Faults of the kernel, and side channels between processes on one machine.
- Contention: a program may keep cores, caches and disks busy up to its limits, and kernel memory (pipes, page tables)
  that belongs to no process is held down only by the limits of processes and descriptors.
- The limits for all processes together are looked at every 50 ms, and may be passed by what fits in between. Processes
  that nobody waits for take their CPU time with them: the wall clock alone holds those.
- Under ``landlock``: whether a path exists, and what stat(2) says of it; the names of files in packages beside the
  interpreter's own library; before ABI 6 a program cannot signal its own children, unless seedtune is root.
"""

from seedtune.sandbox.levels import MEND, best_level, run_code
from seedtune.sandbox.program import ExecutionResult, Heard, Level, Limits, Outcome, Program, Stream

__all__ = [
    "MEND",
    "ExecutionResult",
    "Heard",
    "Level",
    "Limits",
    "Outcome",
    "Program",
    "Stream",
    "best_level",
    "run_code",
]
