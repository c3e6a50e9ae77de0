"""Runs every benchmark in this folder, one after the other."""

from benchmarks import training_step

if __name__ == "__main__":
    training_step.main()
