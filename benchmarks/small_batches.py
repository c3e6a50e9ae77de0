"""How often few rows of healthy embeddings would be called collapsed: the table of docs/measure.md.

Run it: python -m benchmarks.small_batches [--draws N] [--seed S]. Each row is a cloud that the rule calls
healthy, with the std and the effective rank of many of its rows. Then comes, for each number of rows, the
share in per cent of random draws of so few that the rule alone, without the least number of rows that
`measure` asks for, would call collapsed or dimensionally collapsed.

Shape suffixes: N rows, D dimensions, C classes.
"""

import argparse
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from benchmarks.report import machine
from byol.measure.collapse import CollapseRule
from byol.measure.metrics import Cloud, effective_rank, embedding_std

ROWS = (2, 4, 8, 16, 32, 64)
DIMENSIONS = 128
MANY = 10_000
"""Rows that show what a cloud is."""

Draw = Callable[[int], Tensor]
"""Rows -> random rows of a cloud, float64 [N, D]."""


def clouds(generator: torch.Generator) -> dict[str, Draw]:
    """The clouds by name, each in random directions of its own."""
    equally = torch.full((10,), 0.1)
    variance_D = 1 / torch.arange(1, DIMENSIONS + 1, dtype=torch.float64)
    return {
        "isotropic": gaussian(torch.ones(DIMENSIONS), 0, generator),
        "isotropic around a mean": gaussian(torch.ones(DIMENSIONS), 75, generator),
        "variances as 1/i around a mean": gaussian(variance_D, 7.2, generator),
        "ten classes, equally often": classes(equally, generator),
        "ten classes, one of them 70 %": classes(_one_of(0.7), generator),
        "ten classes, one of them 90 %": classes(_one_of(0.9), generator),
    }


def gaussian(variance_D: Tensor, mean: float, generator: torch.Generator) -> Draw:
    """Normal, with these variances along random axes, around a mean of this length in a random direction."""
    axes_DD, mean_D = directions(generator), mean * directions(generator)[0]
    scaled_DD = variance_D.double().sqrt()[:, None] * axes_DD

    def draw(rows: int) -> Tensor:
        noise_ND = torch.randn(rows, DIMENSIONS, dtype=torch.float64, generator=generator)
        return mean_D + noise_ND @ scaled_DD

    return draw


def classes(shares_C: Tensor, generator: torch.Generator) -> Draw:
    """A point for each class, in a random direction; a class as often as its share says.

    At right angles two rows would have an effective rank of exactly 2, and rounding would decide.
    """
    points_CD = torch.randn(len(shares_C), DIMENSIONS, dtype=torch.float64, generator=generator)
    return lambda rows: points_CD[shares_C.multinomial(rows, replacement=True, generator=generator)]


def directions(generator: torch.Generator) -> Tensor:
    """Random directions at right angles to each other [D, D], each of length 1."""
    q_DD: Tensor = torch.linalg.qr(
        torch.randn(DIMENSIONS, DIMENSIONS, dtype=torch.float64, generator=generator)
    )[0]
    return q_DD


def _one_of(share: float) -> Tensor:
    return torch.tensor([share, *[(1 - share) / 9] * 9])


def called_collapsed(x_ND: Tensor) -> bool:
    """Whether the rule of a study that sets none calls these rows collapsed, dimensionally or not."""
    rule, cloud = CollapseRule(), Cloud(x_ND)
    return bool(
        embedding_std(cloud) < rule.representation_threshold or effective_rank(cloud) < rule.rank_threshold
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints a table in Markdown."""
    parser = argparse.ArgumentParser(description="How often few rows of healthy embeddings look collapsed.")
    parser.add_argument("--draws", type=int, default=400, help="a cell of the table (default 400)")
    parser.add_argument("--seed", type=int, default=0, help="of the generator (default 0)")
    options = parser.parse_args(arguments)
    generator = torch.Generator().manual_seed(options.seed)
    print(f"{options.draws} draws a cell, {MANY:,} rows for std and rank, generator seed {options.seed}\n")
    print("| cloud | std | effective rank | 2 rows |", " | ".join(map(str, ROWS[1:])), "|")
    print(f"| {' | '.join(['---'] * (3 + len(ROWS)))} |")
    for name, draw in clouds(generator).items():
        whole = Cloud(draw(MANY))
        cells = [f"{embedding_std(whole):.2f}".lstrip("0"), f"{effective_rank(whole):.1f}"]
        for rows in ROWS:
            called = sum(called_collapsed(draw(rows)) for _ in range(options.draws))
            cells.append(f"{100 * called / options.draws:.1f}".removesuffix(".0"))
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
    print(f"\n{machine()}")


if __name__ == "__main__":
    main()
