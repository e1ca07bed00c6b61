"""How busy the machine is while it trains, as MLflow watches it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

__all__ = ["watch_system"]

INTERVAL_S = 10
SWITCH = "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING"  # MLflow's own, off unless it is set; here on unless it is set to false


def watch_system(run_id: str, uri: str) -> Callable[[], None]:
    """Log processors, memory, disk and network of the machine to a run, until what is returned is called.

    MLflow's thread takes milliseconds each interval, which MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL changes.
    """
    if os.environ.get(SWITCH, "true").lower() in ("false", "0"):
        return lambda: None
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    monitor: Any = SystemMetricsMonitor
    monitor = monitor(run_id, INTERVAL_S, resume_logging=True, tracking_uri=uri)
    monitor.start()
    return lambda: monitor.finish()
