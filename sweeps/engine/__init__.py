"""Runs trials on Ray Tune."""

import os

# Ray reads these when it is imported. They must not drown the sweep's own output.
_QUIET = {
    "RAY_DEDUP_LOGS_SKIP_REGEX": "(?s).",  # a node that dies would print a page of its state
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",
    "TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S": "86400",
}
os.environ.update(_QUIET)

# The trials' processes inherit this. By default glibc gives each large tensor's memory back to the system and
# faults it in again at the next step; keeping it saves a tenth of a trial's time on a CPU.
for _name, _value in {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 29),
    "MALLOC_TOP_PAD_": str(1 << 27),
}.items():
    os.environ.setdefault(_name, _value)
