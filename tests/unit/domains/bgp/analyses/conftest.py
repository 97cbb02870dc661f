"""Lets the tests of this folder share ``analysis_cases``; at the end, so that ``conftest`` stays that of all tests."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
