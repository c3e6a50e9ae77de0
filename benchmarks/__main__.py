"""Runs every benchmark in this folder, one after the other."""

from benchmarks import (
    effects_simulation,
    measurements,
    report_scale,
    sequential_simulation,
    sweep_scale,
    training_step,
    verdict_simulation,
)

if __name__ == "__main__":
    training_step.main()
    measurements.main()
    sweep_scale.main()
    report_scale.main(["--no-browser"])
    verdict_simulation.main()
    sequential_simulation.main([])
    effects_simulation.main()
