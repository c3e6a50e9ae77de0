"""Draws docs/theory.svg: where theory says that a mode ends, as lines, and where the learner did, as points.

Run it: python -m benchmarks.theory_figure [--to PATH]. It trains 54 linear learners, for about a minute.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.theory import diagonal, fixed_points, linear_learner, threshold, train, weights

NOISES = (0.0, 0.25, 1.0)
SHARES = (0.0, 0.15, 0.3, 0.45, 0.6, 0.75, 0.9, 1.1, 1.3)
"""Weight decays, as shares of the threshold. Near 1, a mode takes forever to choose its end."""
TARGETS = ((0.0, "learner, target online"), (0.9, "learner, target EMA"))
"""`tau_base`, and what is said of it."""
COLOURS = ("#2a78d6", "#c2452d", "#3a8f5c")
RATE, STEPS = 0.25, 1000

WIDTH, HEIGHT = 760, 430
LEFT, TOP, RIGHT, BOTTOM = 64, 52, 736, 370
MOST_DECAY, MOST_P = 0.36, 1.1


@dataclass(frozen=True, kw_only=True)
class Point:
    """Where one learner ended."""

    noise: float
    weight_decay: float
    tau_base: float
    p: float


def measure(noise: float, weight_decay: float, tau_base: float) -> Point:
    """Trains from the fixed point without weight decay, p = 1 / (1 + sigma^2), on the balanced curve."""
    start = np.full(2, 1 / (1 + noise))
    settings = {"lr": RATE, "steps": STEPS, "weight_decay": weight_decay, "tau_base": tau_base}
    learner = linear_learner(diagonal(start), torch.diag(torch.from_numpy(start).float()), settings)
    p = float(weights(train(learner, noise))[1][0, 0])
    return Point(noise=noise, weight_decay=weight_decay, tau_base=tau_base, p=p)


def _end(point: Point) -> float:
    """Where theory has it end."""
    known = fixed_points(point.weight_decay, point.noise)
    return known[1] if known else 0.0


def drawing(points: Sequence[Point]) -> str:
    """The figure as SVG."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
        f'height="{HEIGHT}" font-family="system-ui, sans-serif" font-size="13" fill="#222">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        _text(LEFT, 24, "Where an eigenvalue of the predictor ends, by theory and in the learner", size=15),
        *_axes(),
        *(part for noise, colour in zip(NOISES, COLOURS, strict=True) for part in _theory(noise, colour)),
        *(_marker(_x(q.weight_decay), _y(q.p), q.tau_base, COLOURS[NOISES.index(q.noise)]) for q in points),
        *_legend(),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _x(weight_decay: float) -> float:
    return LEFT + (RIGHT - LEFT) * weight_decay / MOST_DECAY


def _y(p: float) -> float:
    return BOTTOM - (BOTTOM - TOP) * p / MOST_P


def _text(x: float, y: float, text: str, *, anchor: str = "start", size: int = 13) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">{text}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, *, dash: str = "") -> str:
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<path d="M{x1:.1f},{y1:.1f}L{x2:.1f},{y2:.1f}" stroke="{colour}" stroke-width="1.5"{dashes}/>'


def _marker(x: float, y: float, tau_base: float, colour: str) -> str:
    fill, radius = ("none", 6.5) if tau_base else (colour, 3.5)
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{fill}" stroke="{colour}" stroke-width="1.5"/>'
    )


def _axes() -> list[str]:
    parts = []
    for decay in np.arange(0, MOST_DECAY, 0.05):
        parts += [_text(_x(decay), BOTTOM + 20, f"{decay:.2f}", anchor="middle")]
    for p in np.arange(0, MOST_P, 0.2):
        parts += [_line(LEFT, _y(p), RIGHT, _y(p), "#e4e4e4")]
        parts += [_text(LEFT - 10, _y(p) + 4, f"{p:.1f}", anchor="end")]
    parts += [_text((LEFT + RIGHT) / 2, BOTTOM + 44, "weight decay η", anchor="middle")]
    return [*parts, _text(LEFT - 44, TOP, "eigenvalue p")]


def _theory(noise: float, colour: str) -> list[str]:
    """Both branches, which meet at the threshold; there the stable one falls to 0 and stays."""
    last = threshold(noise)
    decays = last * (1 - np.linspace(1, 0, 60) ** 2)  # dense near the threshold, where the branches turn
    both = [fixed_points(min(decay, last), noise) for decay in decays]
    pairs = [pair for pair in both if pair is not None]
    parts = []
    for branch, dash in ((1, ""), (0, "3 4")):
        ends = zip(decays, pairs, strict=True)
        path = "L".join(f"{_x(decay):.1f},{_y(pair[branch]):.1f}" for decay, pair in ends)
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        parts += [f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="1.5"{dashes}/>']
    parts += [_line(_x(last), _y(pairs[-1][1]), _x(last), _y(0), colour)]
    return [*parts, _line(_x(last), _y(0), _x(MOST_DECAY), _y(0), colour)]


def _legend() -> list[str]:
    x, y = RIGHT - 182, TOP + 6
    parts = [f'<rect x="{x - 12}" y="{y - 14}" width="194" height="138" fill="#fff" stroke="#ccc"/>']
    for noise, colour in zip(NOISES, COLOURS, strict=True):
        parts += [_line(x, y, x + 26, y, colour), _text(x + 36, y + 4, f"theory, σ² = {noise:g}")]
        y += 22
    parts += [
        _line(x, y, x + 26, y, "#555", dash="3 4"),
        _text(x + 36, y + 4, "theory, unstable"),
    ]
    for tau_base, words in TARGETS:
        y += 22
        parts += [_marker(x + 13, y, tau_base, "#555"), _text(x + 36, y + 4, words)]
    return parts


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains, draws and writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--to", type=Path, default=Path("docs/theory.svg"))
    options = parser.parse_args(arguments)
    points = [
        measure(noise, share * threshold(noise), tau_base)
        for noise in NOISES
        for share in SHARES
        for tau_base, _ in TARGETS
    ]
    distances = [abs(point.p - _end(point)) for point in points]
    print(f"{len(points)} learners, at most {max(distances):.1e} from theory")
    options.to.write_text(drawing(points))


if __name__ == "__main__":
    main()
