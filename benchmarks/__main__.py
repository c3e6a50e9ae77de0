"""Runs every benchmark in this folder, one after the other."""

from benchmarks import (
    effects_simulation,
    sequential_simulation,
    sweep_scale,
    training_step,
    verdict_simulation,
)

if __name__ == "__main__":
    training_step.main()
    sweep_scale.main()
    verdict_simulation.main()
    sequential_simulation.main([])
    effects_simulation.main()
