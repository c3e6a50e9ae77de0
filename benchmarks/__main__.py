"""Runs every benchmark in this folder, one after the other."""

from benchmarks import effects_simulation, sweep_scale, training_step

if __name__ == "__main__":
    training_step.main()
    sweep_scale.main()
    effects_simulation.main()
