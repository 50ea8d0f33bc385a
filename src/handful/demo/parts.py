"""Photos of brushed-metal parts, drawn from a seed: fine, scratched, dented and stained ones.

Each photo is one part on a bench under one lamp. Shape, pose, metal, brushing, bench, lamp and camera are
drawn at random and alike for every class, so that only the fault tells the classes apart: the mean colour
or the brightness at a place says next to nothing, and a classifier of raw pixels stays weak.

Lengths are in pixels of the photo, light in [0, 1] until the camera turns it into bytes. A signed distance
is negative inside the part.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from handful.errors import ConfigError
from handful.files import write_atomically

CLASSES = ("dented", "fine", "scratched", "stained")
WIDTH, HEIGHT = 320, 240
_Y, _X = np.indices((HEIGHT, WIDTH), dtype=np.float32)

Array = np.ndarray
Rng = np.random.Generator

_METALS = (
    (0.62, 0.63, 0.65),  # steel
    (0.74, 0.75, 0.76),  # aluminium
    (0.50, 0.51, 0.53),  # titanium
    (0.68, 0.64, 0.56),  # nickel
)
_BENCHES = (
    (0.16, 0.17, 0.19),  # rubber mat
    (0.17, 0.24, 0.21),  # cutting mat
    (0.36, 0.31, 0.25),  # wood
    (0.22, 0.26, 0.34),  # painted bench
    (0.40, 0.39, 0.38),  # concrete
)
_STAINS = (
    (0.80, 0.38, 0.12),  # rust
    (0.50, 0.30, 0.14),  # old oil
    (0.72, 0.50, 0.16),  # dried coolant
)


@dataclass(frozen=True)
class Part:
    """Where the part lies and how it is lit.

    Attributes:
        u: float32 (h, w), the part's own first axis, 0 at its centre.
        v: float32 (h, w), the part's own second axis.
        distance: float32 (h, w), signed distance to the part's edge.
        size: half of the part's smaller extent.
        lamp: unit vector in the photo (x, y) towards the lamp.
        round: whether the part was turned (brushed in circles) rather than brushed in lines.
    """

    u: Array
    v: Array
    distance: Array
    size: float
    lamp: tuple[float, float]
    round: bool

    @property
    def cover(self) -> Array:
        """How much of each pixel the part covers: float32 (h, w) in [0, 1]."""
        return np.clip(0.5 - self.distance, 0, 1)


def draw(folder: Path, per_class: int = 40, seed: int = 0) -> Path:
    """Draw a set of photos, `folder/<class>/<class>_001.jpg` and so on.

    Args:
        folder: where to put the class folders; made if needed.
        per_class: photos of each of the four classes.
        seed: the same seed gives the same pixels.

    Returns:
        `folder`.

    Raises:
        ConfigError: `per_class` is below 1.
        HandfulError: the folder cannot be written to.

    Example:
        >>> draw(Path("parts"), per_class=40)  # doctest: +SKIP
        PosixPath('parts')
    """
    if per_class < 1:
        raise ConfigError(f"Received per_class={per_class}. Each class needs a photo: pass 1 or more.")
    for label, name in enumerate(CLASSES):
        for number in range(1, per_class + 1):
            rng = np.random.default_rng([seed, label, number])
            content = _jpeg(photo(name, rng), quality=int(rng.integers(82, 94)))
            write_atomically(folder / name / f"{name}_{number:03d}.jpg", content, sync=False)
    return folder


def _jpeg(picture: Image.Image, quality: int) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def photo(name: str, rng: Rng) -> Image.Image:
    """Draw one photo of class `name`: the part, its fault, the bench below, the camera above."""
    part = _place(rng)
    metal = _metal(part, rng)
    metal = _FAULTS[name](metal, part, rng)
    cover = part.cover[..., None]
    light = cover * metal + (1 - cover) * _bench(part, rng)
    return _camera(light, rng)


# The part -----------------------------------------------------------------------------------------


def _place(rng: Rng) -> Part:
    """Choose a shape and lay it somewhere near the middle, turned and lit from anywhere."""
    x, y = _X - WIDTH / 2 - rng.uniform(-22, 22), _Y - HEIGHT / 2 - rng.uniform(-14, 14)
    turn, lamp = rng.uniform(0, 2 * np.pi), rng.uniform(-0.85, -0.15) * np.pi
    u, v = _turned(x, y, turn)
    size = float(rng.uniform(84, 104))
    shape = _SHAPES[rng.integers(len(_SHAPES))]
    toward = (math.cos(lamp), math.sin(lamp))
    turned = shape is _washer or (shape is _nut and rng.random() < 0.5)
    return Part(u, v, shape(u, v, size, rng), size, toward, turned)


def _turned(x: Array, y: Array, angle: float) -> tuple[Array, Array]:
    """The coordinates (x, y) on axes turned by `angle` (radians)."""
    # math, not NumPy: a NumPy scalar would silently turn every array of the photo into float64
    cosine, sine = math.cos(angle), math.sin(angle)
    return cosine * x + sine * y, cosine * y - sine * x


def _washer(u: Array, v: Array, size: float, rng: Rng) -> Array:
    return np.maximum(np.hypot(u, v) - size, _hole(u, v, 0, 0, size * rng.uniform(0.16, 0.34)))


def _nut(u: Array, v: Array, size: float, rng: Rng) -> Array:
    sides = [np.abs(_turned(u, v, step * math.pi / 3)[0]) for step in range(3)]
    bore = _hole(u, v, 0, 0, size * rng.uniform(0.18, 0.3))
    return np.maximum(np.maximum.reduce(sides) - size * 0.94, bore)


def _plate(u: Array, v: Array, size: float, rng: Rng) -> Array:
    length, width = size * rng.uniform(1.05, 1.3), size * rng.uniform(0.72, 0.9)
    edge = _box(u, v, length, width, size * rng.uniform(0.08, 0.3))
    radius = size * rng.uniform(0.07, 0.12)
    a, b = length - 2.2 * radius, width - 2.2 * radius
    corners = ((a, b), (-a, -b), (a, -b), (-a, b))[: rng.choice([0, 2, 4])]
    return np.maximum.reduce([edge, *(_hole(u, v, p, q, radius) for p, q in corners)])


def _link(u: Array, v: Array, size: float, rng: Rng) -> Array:
    length, width = size * 1.35, size * rng.uniform(0.58, 0.72)
    radius, reach = width * rng.uniform(0.26, 0.38), length - width
    edge = _box(u, v, length, width, width)
    return np.maximum.reduce([edge, _hole(u, v, reach, 0, radius), _hole(u, v, -reach, 0, radius)])


def _box(u: Array, v: Array, length: float, width: float, corner: float) -> Array:
    """Signed distance to a rectangle of half-lengths (length, width) with rounded corners."""
    a, b = np.abs(u) - length + corner, np.abs(v) - width + corner
    outside = np.hypot(np.maximum(a, 0), np.maximum(b, 0))
    return outside + np.minimum(np.maximum(a, b), 0) - corner


def _hole(u: Array, v: Array, a: float, b: float, radius: float) -> Array:
    return radius - np.hypot(u - a, v - b)


_SHAPES = (_washer, _nut, _plate, _link)


# The metal ----------------------------------------------------------------------------------------


def _metal(part: Part, rng: Rng) -> Array:
    """Light from a sound surface: float (h, w, 3); colour, brushing, sheen and a bevelled edge."""
    colour = _one_of(_METALS, rng) * rng.uniform(0.85, 1.1)
    light = _lamp_fall(part, rng) * (1 + _brushing(part, rng)) * _sheen(part, rng) + _bevel(part)
    smudges = 1 + 0.05 * _clouds(rng, 5)
    return colour * (light * smudges)[..., None]


def _lamp_fall(part: Part, rng: Rng) -> Array:
    """Light that falls off across the photo, away from the lamp."""
    toward = (_X / WIDTH - 0.5) * part.lamp[0] + (_Y / HEIGHT - 0.5) * part.lamp[1]
    return rng.uniform(0.75, 1.05) + rng.uniform(0.1, 0.5) * toward


def _brushing(part: Part, rng: Rng) -> Array:
    """Fine streaks along the first axis, or around the centre of a turned part; mean 0."""
    streaks = _stretched(rng, 512, 9, 1.0) + 0.6 * _stretched(rng, 128, 4, 1.0)
    if part.round:
        across, along = np.hypot(part.u, part.v) * 2, (np.arctan2(part.v, part.u) / np.pi + 1) * 255
    else:
        across, along = part.v + 256, part.u + 256
    rows, columns = (np.clip(a, 0, 511).astype(np.intp) for a in (across, along))
    return rng.uniform(0.03, 0.06) * streaks[rows, columns]


def _stretched(rng: Rng, rows: int, columns: int, strength: float) -> Array:
    """Noise of (rows, columns) knots stretched to (512, 512)."""
    knots = rng.normal(0, strength, (rows, columns)).astype(np.float32)
    return np.asarray(Image.fromarray(knots).resize((512, 512), Image.Resampling.BICUBIC))


def _sheen(part: Part, rng: Rng) -> Array:
    """The lamp mirrored by the brushing: a band across lines, a bow tie on circles."""
    strength = rng.uniform(0.12, 0.4)
    if part.round:
        angle = np.arctan2(part.v, part.u) - rng.uniform(0, np.pi)
        return 1 - 0.3 * strength + strength * np.abs(np.cos(angle)) ** rng.uniform(4, 10)
    place, width = part.size * rng.uniform(-0.9, 0.9), part.size * rng.uniform(0.3, 0.7)
    return 1 - 0.3 * strength + strength * np.exp(-(((part.u - place) / width) ** 2))


def _bevel(part: Part) -> Array:
    """A narrow bright or dark rim, by which way the edge faces."""
    down, right = np.gradient(part.distance)
    facing = right * part.lamp[0] + down * part.lamp[1]
    return 0.45 * facing * np.exp(-(((part.distance + 2.5) / 2.2) ** 2))


def _one_of(colours: tuple[tuple[float, float, float], ...], rng: Rng) -> Array:
    return np.array(colours[rng.integers(len(colours))], np.float32)


def _clouds(rng: Rng, knots: int) -> Array:
    """Smooth noise over the photo, `knots` bumps high, standard deviation about 1."""
    grid = rng.normal(0, 1.4, (knots, knots * 4 // 3)).astype(np.float32)
    return np.asarray(Image.fromarray(grid).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))


# The faults ---------------------------------------------------------------------------------------


def _fine(metal: Array, part: Part, rng: Rng) -> Array:
    return metal


def _scratched(metal: Array, part: Part, rng: Rng) -> Array:
    """Grooves: a bright wall that faces the lamp beside a dark one, in strokes that cross the brushing."""
    course = rng.uniform(0, np.pi)
    for _ in range(rng.integers(6, 11)):
        groove = _groove(part, course + rng.normal(0, 0.35), rng)
        metal = metal + groove[..., None]
    return metal


def _groove(part: Part, course: float, rng: Rng) -> Array:
    x, y = _around(part, rng)
    along, aside = _turned(x, y, course)
    reach = part.size * rng.uniform(0.45, 1.0)
    aside = aside + rng.uniform(-0.12, 0.12) * along**2 / reach
    taper = np.clip(1.2 - (along / reach) ** 2, 0, 1)
    width = rng.uniform(0.8, 1.3)
    bright, dark = np.exp(-((aside / width) ** 2)), np.exp(-(((aside - 1.9 * width) / width) ** 2))
    return rng.uniform(0.35, 0.65) * taper * (bright - 0.7 * dark)


def _dented(metal: Array, part: Part, rng: Rng) -> Array:
    """Hollows: dark on the wall towards the lamp, bright on the far one, with a worn lip around."""
    for _ in range(rng.integers(2, 4)):
        metal = metal * (1 + _hollow(part, rng))[..., None]
    return metal


def _hollow(part: Part, rng: Rng) -> Array:
    x, y = _around(part, rng)
    turn, flat = rng.uniform(0, np.pi), rng.uniform(1.0, 1.5)
    p, q = _turned(x, y, turn)
    r = np.hypot(p, q * flat) / rng.uniform(18, 30)
    floor = np.exp(-np.square(r * r))
    toward = (x * part.lamp[0] + y * part.lamp[1]) / (np.hypot(x, y) + 1e-3)
    lip = np.exp(-(((r - 1.15) / 0.14) ** 2))
    return rng.uniform(0.6, 0.9) * toward * (0.25 * lip - 1.3 * r * floor) - 0.15 * floor


def _stained(metal: Array, part: Part, rng: Rng) -> Array:
    """Dried blotches with ragged outlines and a darker tide line, and a few drops beside them."""
    tint = _one_of(_STAINS, rng)
    for _ in range(rng.integers(1, 4)):
        metal = _blot(metal, _blotch(part, rng.uniform(20, 38), rng), tint, rng)
    for _ in range(rng.integers(2, 7)):
        metal = _blot(metal, _blotch(part, rng.uniform(3, 6), rng), tint, rng)
    return metal


def _blotch(part: Part, radius: float, rng: Rng) -> Array:
    """Signed height of a ragged blotch: above 0 inside, about 1 at its centre."""
    x, y = _around(part, rng)
    ragged = 0.26 * _clouds(rng, 12) + 0.1 * _clouds(rng, 36)
    return 1 - np.hypot(x, y * rng.uniform(0.8, 1.4)) / radius + ragged


def _blot(metal: Array, height: Array, tint: Array, rng: Rng) -> Array:
    inside = np.clip(height * 5, 0, 1)
    tide = np.exp(-(((height - 0.16) / 0.11) ** 2))
    amount = rng.uniform(0.65, 0.95) * inside * np.clip(0.55 + 0.3 * height + 0.4 * tide, 0, 1)
    grey = metal.mean(axis=2, keepdims=True)
    return metal + amount[..., None] * (tint * grey * 1.2 - metal)


def _around(part: Part, rng: Rng) -> tuple[Array, Array]:
    """Coordinates (x, y) about a random place well inside the part."""
    inside = np.flatnonzero(part.distance < -0.16 * part.size)
    row, column = divmod(int(rng.choice(inside)), WIDTH)
    return _X - column, _Y - row


_FAULTS: dict[str, Callable[[Array, Part, Rng], Array]] = {
    "dented": _dented,
    "fine": _fine,
    "scratched": _scratched,
    "stained": _stained,
}


# The bench and the camera -------------------------------------------------------------------------


def _bench(part: Part, rng: Rng) -> Array:
    """What lies below: a colour, its grain, the lamp's fall and the part's shadow: float (h, w, 3)."""
    colour = _one_of(_BENCHES, rng) * rng.uniform(0.7, 1.2)
    grain = 1 + 0.07 * _clouds(rng, 4) + 0.05 * _clouds(rng, 60)
    light = _lamp_fall(part, rng) * grain * (1 - _shadow(part, rng))
    return colour * light[..., None]


def _shadow(part: Part, rng: Rng) -> Array:
    """The part's shadow, thrown away from the lamp with a soft edge: float (h, w) in [0, 1]."""
    reach = rng.uniform(5, 11)
    shift = tuple(round(-reach * a) for a in part.lamp[::-1])
    distance = np.roll(part.distance, shift, axis=(0, 1))
    return rng.uniform(0.4, 0.7) * np.clip(0.5 - distance / 9, 0, 1)


def _camera(light: Array, rng: Rng) -> Image.Image:
    """Exposure, white balance, vignette, focus, sensor noise and the 8-bit curve."""
    middle = np.square(_X / WIDTH - 0.5) + np.square(_Y / HEIGHT - 0.5)
    vignette = 1 - rng.uniform(0.16, 0.6) * middle
    balance = rng.uniform(0.96, 1.04, 3).astype(np.float32)
    light = light * vignette[..., None] * balance * rng.uniform(0.75, 1.2)
    light = light + rng.uniform(0.008, 0.02) * rng.standard_normal(light.shape, np.float32)
    picture = Image.fromarray((np.clip(light, 0, 1) * 255 + 0.5).astype(np.uint8))
    return picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 0.7)))
