"""What is reported of each task."""

from __future__ import annotations

from adaspec.evaluation.reports.classification import ClassificationReport
from adaspec.evaluation.reports.contract import Evidence, Report
from adaspec.evaluation.reports.spoofing import SpoofingReport

__all__ = ["REPORTS", "Evidence", "Report"]

# By the names of `adaspec.tasks.TASKS`.
REPORTS: dict[str, type[ClassificationReport] | type[SpoofingReport]] = {
    "classification": ClassificationReport,
    "spoofing": SpoofingReport,
}
