"""Outliers: photos that are far from all others, and so perhaps of something else."""

from __future__ import annotations

import numpy as np

from handful.data.manifest import Manifest
from handful.data.unions import bundles
from handful.errors import Problem

# Robust standard deviations of the logarithm. Five ants put among 200 hands all lie above it; of 2,062 hands
# none does, and of 398 ants and bees one: a drawing that says "not found" (benchmarks/data_check.py).
LEAST_FAR = 4.0
_NEIGHBOURS = 3  # two odd photos of one kind are still far from the third nearest
_FEWEST = 20  # photos below which there is no telling what is usual
_TO_DEVIATION = 1.4826  # median absolute deviation to standard deviation of a normal distribution
_BLOCK = 1024  # rows compared at once, to bound memory
_MOST_TOLD = 20
_TINY = 1e-6


def how_far(features: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Say how unusually far each photo is from its third nearest, float64 (n,); 0 is usual.

    The cosine distance to the third nearest bundle of photos, as a logarithm, in robust standard deviations
    from its median over all photos (Rousseeuw and Croux 1993 on the deviation; Ramaswamy, Rastogi and Shim
    2000 on the distance).

    Args:
        features: float32 (n, d).
        groups: int (n,), photos that are copies or belong together share a number: none is its own neighbour.
    """
    directions = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), _TINY)
    far = np.empty(len(features))
    for at in range(0, len(features), _BLOCK):
        block = slice(at, at + _BLOCK)
        distance = 1 - directions[block] @ directions.T
        distance[groups[block, None] == groups] = np.inf
        nearest = np.partition(distance, _NEIGHBOURS - 1, axis=1)[:, _NEIGHBOURS - 1]
        far[block] = np.log(np.clip(nearest, _TINY, 2))
    centred = far - np.median(far)
    return centred / max(_TO_DEVIATION * float(np.median(np.abs(centred))), _TINY)


def find_outliers(manifest: Manifest, features: np.ndarray) -> list[Problem]:
    """Note the photos that are unlike all others, the farthest first.

    A photo of something else among photos that are themselves of many kinds is not noticed.

    Args:
        manifest: usable rows.
        features: float32 (n, d) of each row.
    """
    groups = bundles(manifest.rows)
    if len(np.unique(groups)) < _FEWEST:
        return []
    far = how_far(features, groups)
    found = [at for at in np.argsort(-far).tolist() if far[at] > LEAST_FAR]
    fix = "Look at it: if it shows something else, take it out; if it is right, add more like it."
    problems = []
    for at in found[:_MOST_TOLD]:
        what = "unlike all other photos, to the backbone's eyes: off-topic?"
        problems.append(Problem("note", manifest.rows[at].shown, what, fix))
    if len(found) > _MOST_TOLD:
        what = f"{len(found) - _MOST_TOLD:,} more photos are unlike all others"
        problems.append(Problem("note", "", what, "The photos may be of several kinds: look at those named."))
    return problems
