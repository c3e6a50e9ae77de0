"""Runs trials on Ray Tune: runtime (connection and signals), driver, worker, loggers.

Only this package and `sweeps.search` import Ray, and importing either brings it in here first: some of the
environment is read when Ray is imported.
"""

from sweeps.engine.environment import ray_environment

with ray_environment():
    import ray.tune  # noqa: F401
