"""What each measured column means, in one line. docs/result-tables.md has units, ranges and sources."""

from collections.abc import Mapping

MEANINGS: Mapping[str, str] = {
    "knn_accuracy": "share of test images that their nearest training images label correctly, at the end",
    "knn_accuracy_start": "the same of the trial's own untrained encoder",
    "representation_std": "spread of the encoder's output: 1 in all directions alike, 0 a point",
    "projection_std": "the same of the projector's output, which the loss sees",
    "effective_rank": "directions that the representation uses, the mean among them: 1 at full collapse",
    "effective_rank_centred": "directions of its differences between images: noise around a point has many",
    "rankme": "effective rank of representations at their own length, as RankMe defines it",
    "stable_rank": "squared lengths in all directions by those in the strongest: 1 if one direction rules",
    "alpha_req": "how fast the variances fall, as a power law: 0 alike in all directions, healthy near 1",
    "nesum": "variance in all directions by that in the strongest: 1 if one direction has it all",
    "lidar": "directions that tell images apart, but not views of one image",
    "projection_lidar": "the same of the projection",
    "loss": "training loss at the end; lowest at collapse, so it ranks nothing",
    "onset_step": "first step of the collapse that lasted to the end",
    "probe_accuracy": "share of test images that a linear classifier on the representation labels correctly",
}
"""Column of the tables -> its meaning."""
