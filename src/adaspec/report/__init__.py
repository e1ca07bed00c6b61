"""One page of a run: which score, how sure, what was learned, and where it fails, to look at and to listen to."""

from adaspec.report.page import Provenance, write_report

__all__ = ["Provenance", "write_report"]
