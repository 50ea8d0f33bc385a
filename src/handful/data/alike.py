"""Alike: the same picture re-saved, resized, slightly cropped or brightened, told by its pixels alone.

A 64-bit hash tells a re-saved photo but not a cropped one from a look-alike: ten photos of one hand on one
wall differ less than a photo and its crop. So pairs that could be the same picture are laid over each other
(scale, shift, brightness) and compared part by part: a copy leaves nothing over anywhere, another pose does.

1. Candidates: each photo's nearest few by the correlation of coarse grey pictures, and of the coarse
   picture of one with that of the other's middle.
2. Registration: four Gauss-Newton steps on horizontal and vertical scale and shift, with gain and offset
   solved for at each (Lucas and Kanade 1981; Baker and Matthews 2004, sections 2 and 4.3).
3. Verdict: what is left over, as a whole, in each of 16 parts, and in colour.

The features of a frozen network are left out of it: for small photos they change more with sharpness than
between two photos of one scene (benchmarks/planted_duplicates.py --features).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from handful.data.looks import THUMBNAIL_SIDE as SIDE
from handful.data.unions import Unions

# Chosen on planted copies of hand_digits and ants_bees, tried on others: benchmarks/planted_duplicates.py.
# Copies lie above the first and below the other two; a photo of the same hand, posed alike, does not.
LEAST_CORRELATION = 0.99
MOST_LEFT_IN_A_PART = 0.28
MOST_LEFT_IN_COLOUR = 0.6

_NEAREST = 4  # candidates of a photo in each comparison
_LEAST_COARSE = 0.92  # correlation below which two coarse pictures are never of one photo
_MIDDLE = 0.92  # between a whole photo and one without 5 % at each side: halfway for registration to start
_STEPS = 4
_EDGE = 2  # pixels not compared: there, what was cropped away is missing
_INNER = slice(_EDGE, SIDE - _EDGE)
_CELLS = 4
_PLAIN = 2.0  # grey levels of deviation below which a part is plain
_FEWEST_PARTS = 4  # parts of 16 with something in them; two almost empty pictures match whatever they show
_MOST_SCALE, _MOST_SHIFT = 0.2, 0.1
_BLOCK, _PAIRS = 1024, 1024  # rows and pairs at a time: some 50 MB
_ROUNDS = 4

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
_CENTRE = (SIDE - 1) / 2
_PLACE = ((np.arange(SIDE) - _CENTRE) / SIDE).astype(np.float32)

Array = np.ndarray


@dataclass(frozen=True)
class Alike:
    """Photos that show one and the same picture.

    Attributes:
        pairs: int (m, 2), row numbers, the smaller first, each pair once.
        correlation: float32 (m,), of the grey pictures laid over each other.
        clusters: int64 (n,), rows joined by pairs share a number.
    """

    pairs: Array
    correlation: Array
    clusters: Array


def find_alike(thumbnails: Array) -> Alike:
    """Find the photos that are the same picture.

    Time grows with the square of n in one matrix product (10,000 photos: seconds), and linearly in the
    pairs that have to be looked at.

    Args:
        thumbnails: uint8 (n, SIDE, SIDE, 3), from `looks.thumbnail_of`.
    """
    colours = _smoothed(thumbnails)
    textured = np.flatnonzero(_has_texture(_grey(colours)))
    unions = Unions(len(thumbnails))
    found, strengths = [np.empty((0, 2), np.int64)], [np.empty(0, np.float32)]
    rows = textured
    for _ in range(_ROUNDS if len(textured) else 0):
        pairs, strength = _same_pictures(colours, rows)
        found.append(pairs)
        strengths.append(strength)
        unions.join_all(pairs.tolist())
        clusters = unions.numbers()
        # Of many copies, each has only copies among its nearest few: look again with one of each cluster.
        if not len(pairs) or np.bincount(clusters).max() <= _NEAREST:
            break
        rows = textured[np.unique(clusters[textured], return_index=True)[1]]
    pairs, at = np.unique(np.concatenate(found), axis=0, return_index=True)
    return Alike(pairs, np.concatenate(strengths)[at], unions.numbers())


def _same_pictures(colours: Array, rows: Array) -> tuple[Array, Array]:
    """Pairs (m, 2) among some rows that are the same picture, and their correlation (m,)."""
    grey = _grey(colours[rows])
    pairs, starts = _candidates(grey)
    kept, strengths = [np.empty((0, 2), np.int64)], [np.empty(0, np.float32)]
    for at in range(0, len(pairs), _PAIRS):
        some, start = pairs[at : at + _PAIRS], starts[at : at + _PAIRS]
        same, strength = _judged(grey, colours, rows, some, start)
        kept.append(np.sort(rows[some[same]], axis=1))
        strengths.append(strength[same])
    return np.concatenate(kept), np.concatenate(strengths)


def _smoothed(thumbnails: Array) -> Array:
    """float32 (n, 3, SIDE, SIDE), smoothed so that half a pixel more or less does not matter."""
    blur = _gaussian(1.0)
    return blur @ thumbnails.transpose(0, 3, 1, 2).astype(np.float32) @ blur.T


def _gaussian(sigma: float) -> Array:
    """A smoothing matrix float32 (SIDE, SIDE), rows that sum to one."""
    distance = np.arange(SIDE)[:, None] - np.arange(SIDE)
    weights = np.exp(-0.5 * (distance / sigma) ** 2)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def _grey(colours: Array) -> Array:
    return np.tensordot(colours, _LUMA, (1, 0))


def _has_texture(grey: Array) -> Array:
    """bool (n,): enough parts of the picture show something by which it can be recognised."""
    cell = SIDE // _CELLS
    parts = grey.reshape(-1, _CELLS, cell, _CELLS, cell).std(axis=(2, 4))
    return (parts > _PLAIN).sum(axis=(1, 2)) >= _FEWEST_PARTS


# Candidates ----------------------------------------------------------------------------------------


def _candidates(grey: Array) -> tuple[Array, Array]:
    """Pairs int (m, 2) to lay over each other, first onto second, and the scale to start from (m,)."""
    whole, middle = _coarse(grey), _coarse(_middle(grey))
    compared = ((whole, 1.0), (middle, _MIDDLE))
    found = [np.empty((0, 4))]
    for at in range(0, len(grey), _BLOCK):
        block = slice(at, at + _BLOCK)
        found += [_nearest(whole[block] @ others.T, at, scale) for others, scale in compared]
    return _once(np.concatenate(found))


def _nearest(likeness: Array, first: int, start: float) -> Array:
    """The nearest few of each row of a block that begins at `first`: (m, 4), the other, the row, the scale
    that lays the other on the row, their likeness.
    """
    likeness[np.arange(len(likeness)), np.arange(len(likeness)) + first] = -1
    rows = np.flatnonzero((likeness > _LEAST_COARSE).any(axis=1))  # of unlike photos few: sorting costs most
    most = min(_NEAREST, likeness.shape[1])
    near = np.argpartition(likeness[rows], -most, axis=1)[:, -most:]
    how_near = likeness[rows[:, None], near]
    good = how_near > _LEAST_COARSE
    row = np.repeat(rows + first, most)[good.ravel()]
    return np.column_stack([near[good], row, np.full(len(row), start), how_near[good]])


def _once(found: Array) -> tuple[Array, Array]:
    """Each pair once, the smaller row first, with the start at which it was most alike."""
    best_first = found[np.argsort(-found[:, 3], kind="stable")]
    pairs, starts = best_first[:, :2].astype(np.int64), best_first[:, 2]
    starts = np.where(pairs[:, 0] > pairs[:, 1], 1 / starts, starts)
    distinct, at = np.unique(np.sort(pairs, axis=1), axis=0, return_index=True)
    return distinct, starts[at].astype(np.float32)


def _coarse(grey: Array) -> Array:
    """Coarse pictures float32 (n, 256) of mean 0 and length 1: their products are correlations."""
    blur = _gaussian(2.0)
    coarse = (blur @ grey @ blur.T)[:, 1::2, 1::2].reshape(len(grey), (SIDE // 2) ** 2)
    coarse -= coarse.mean(axis=1, keepdims=True)
    return coarse / np.maximum(np.linalg.norm(coarse, axis=1, keepdims=True), 1e-6)


def _middle(grey: Array) -> Array:
    part = _sampling(np.array([_MIDDLE], np.float32), np.zeros(1, np.float32))[0]
    return part @ grey @ part.T


# Registration --------------------------------------------------------------------------------------


def _judged(grey: Array, colours: Array, rows: Array, pairs: Array, starts: Array) -> tuple[Array, Array]:
    """Say for pairs (m, 2) whether they are the same picture: bool (m,), and their correlation (m,)."""
    first, second = pairs.T
    scales, shifts = _registered(grey[first], grey[second], starts)
    near = (np.abs(scales - 1) < _MOST_SCALE).all(axis=0) & (np.abs(shifts) < _MOST_SHIFT * SIDE).all(axis=0)
    correlation, in_a_part, in_colour = _left_over(
        _laid_over(colours[rows[first]], scales, shifts), colours[rows[second]]
    )
    same = (correlation > LEAST_CORRELATION) & (in_a_part < MOST_LEFT_IN_A_PART)
    return near & same & (in_colour < MOST_LEFT_IN_COLOUR), correlation


def _sampling(scales: Array, shifts: Array) -> Array:
    """Matrices float32 (m, SIDE, SIDE) that sample a line about its centre, linearly interpolated."""
    places = _CENTRE + (np.arange(SIDE, dtype=np.float32) - _CENTRE) * scales[:, None] + shifts[:, None]
    away = np.clip(places, 0, SIDE - 1)[:, :, None] - np.arange(SIDE, dtype=np.float32)
    return np.maximum(0, 1 - np.abs(away))


def _registered(moved: Array, fixed: Array, starts: Array) -> tuple[Array, Array]:
    """Scales and shifts float32 (2, m), vertical and horizontal, that lay pictures on others."""
    scales = np.stack([starts, starts])
    shifts = np.zeros_like(scales)
    target = fixed[:, _INNER, _INNER].reshape(len(fixed), -1, 1)
    for _ in range(_STEPS):
        slopes = _slopes(_sampled(moved, scales, shifts))
        normal = slopes @ slopes.transpose(0, 2, 1)
        diagonal = np.arange(normal.shape[1])
        normal[:, diagonal, diagonal] = 1.0001 * normal[:, diagonal, diagonal] + 0.01  # plain pictures
        found = np.linalg.solve(normal, slopes @ target)[..., 0].T
        gain = np.maximum(found[0], 0.3)
        shifts += np.clip(found[2:4] / gain, -2, 2)
        scales += np.clip(found[4:6] / gain / SIDE, -0.1, 0.1)
    return scales, shifts


def _sampled(pictures: Array, scales: Array, shifts: Array) -> Array:
    """Pictures (m, SIDE, SIDE) scaled and shifted."""
    return _sampling(scales[0], shifts[0]) @ pictures @ _sampling(scales[1], shifts[1]).transpose(0, 2, 1)


def _slopes(pictures: Array) -> Array:
    """How the inner pixels change with gain, offset, both shifts and both scales: (m, 6, pixels)."""
    ahead, behind = slice(_EDGE + 1, SIDE - _EDGE + 1), slice(_EDGE - 1, SIDE - _EDGE - 1)
    down = (pictures[:, ahead, _INNER] - pictures[:, behind, _INNER]) / 2
    across = (pictures[:, _INNER, ahead] - pictures[:, _INNER, behind]) / 2
    inner = pictures[:, _INNER, _INNER]
    place = _PLACE[_INNER]
    slopes = [inner, np.ones_like(inner), down, across, down * place[:, None], across * place]
    return np.stack(slopes, axis=1).reshape(len(pictures), len(slopes), -1)


def _laid_over(colours: Array, scales: Array, shifts: Array) -> Array:
    down, across = _sampling(scales[0], shifts[0]), _sampling(scales[1], shifts[1])
    return down[:, None] @ colours @ across.transpose(0, 2, 1)[:, None]


def _left_over(laid: Array, fixed: Array) -> tuple[Array, Array, Array]:
    """Compare pictures (m, 3, SIDE, SIDE): correlation in grey; the most that is left over in a part, in
    grey and in a colour, over the fixed one's deviation. One gain for all colours: red is no bright blue.
    """
    laid, fixed = (_centred(picture[:, :, _INNER, _INNER]) for picture in (laid, fixed))
    one, other = _grey(laid), _grey(fixed)
    power, wanted = (np.maximum((grey**2).mean(axis=(1, 2)), 1e-6) for grey in (one, other))
    shared = (one * other).mean(axis=(1, 2))
    left = fixed - (shared / power)[:, None, None, None] * laid
    deviation = np.sqrt(wanted)
    in_a_part = np.sqrt(_parts(_grey(left)[:, None])) / deviation
    return shared / np.sqrt(power * wanted), in_a_part, np.sqrt(_parts(left)) / deviation


def _centred(pictures: Array) -> Array:
    return pictures - pictures.mean(axis=(2, 3), keepdims=True)


def _parts(left: Array) -> Array:
    """The largest mean square of any part and colour of (m, c, side, side): (m,)."""
    cell = left.shape[-1] // _CELLS
    return (
        (left.reshape(*left.shape[:2], _CELLS, cell, _CELLS, cell) ** 2).mean(axis=(3, 5)).max(axis=(1, 2, 3))
    )
