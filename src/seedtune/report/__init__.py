"""One HTML page about a run, made from the run folder's files alone: no script, no network, nothing to install."""

from seedtune.report.page import REPORT, write_report

__all__ = ["REPORT", "write_report"]
