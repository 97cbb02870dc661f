"""PyBGPStream for local MRT files: the interface of CAIDA's pybgpstream 2.0, in the standard library alone.

Programs written for the real library run unchanged where their data is local: ``singlefile``, ``csvfile``, and in the
broker's place a folder of MRT files named by SEEDTUNE_BGP_ARCHIVE. What the real library answers with garbage, an abort
of the process or endless waiting is an error here. docs/pybgpstream.md compares the two, point by point.
"""

import os

from . import _replay
from ._interfaces import ARCHIVE_VARIABLE
from ._records import BGPElem, BGPRecord, SpoiledElementError, SpoiledRecordError
from ._sources import SourceError
from ._stream import BGPStream, EndlessStreamError, StreamUseError

__all__ = [
    "BGPElem",
    "BGPRecord",
    "BGPStream",
    "EndlessStreamError",
    "SourceError",
    "SpoiledElementError",
    "SpoiledRecordError",
    "StreamUseError",
]
__backend__ = "seedtune"
__version__ = "2.0.2"

if __name__ == "pybgpstream":
    # Only as the module of a program: seedtune itself imports parts of this package and keeps the true time.
    _replay.switch_on(os.environ.get(ARCHIVE_VARIABLE, ""))
