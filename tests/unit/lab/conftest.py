"""The laboratory stands beside the package, not in it."""

import sys

from conftest import ROOT

sys.path.insert(0, str(ROOT))
