"""What runs inside the sandbox around the program: the monitor and the locks that the program's process puts on itself.

Standard library only and no import of seedtune: the base interpreter starts it without site-packages. Modules that are
slow to import (json, signal, typing, dataclasses) are left out: every run waits for this.
"""
