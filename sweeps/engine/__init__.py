"""Runs trials on Ray Tune: runtime (connection and signals), driver, worker.

Only this package and `sweeps.search` import Ray. Both import it here first, within `ray_environment`, because
Ray reads some variables when it is imported.
"""

from sweeps.engine.environment import ray_environment

with ray_environment():
    import ray.tune  # noqa: F401
