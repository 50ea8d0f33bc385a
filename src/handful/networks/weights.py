"""Find the weights of a backbone: in a file of the user's, on disk, in the package, or by fetching them.

Nothing here imports Keras or TensorFlow. Files lie where Keras itself keeps them ($KERAS_HOME/models), so
what one of the two has fetched serves both.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path

from handful.backbones import AUTO_ORDER, CATALOGUE, EMBEDDED, PREPROCESSINGS, Backbone, find
from handful.errors import BackboneError
from handful.files import sha256_of_file
from handful.networks import safety, sidecars
from handful.networks.fetching import fetch_file
from handful.progress import Speaker

_WEIGHTS_SUFFIXES = (".h5", ".hdf5")


@dataclass(frozen=True)
class Source:
    """Where a backbone comes from and how to run it.

    Attributes:
        name: what was asked for, "auto" resolved: a catalogue name, "embedded", or a file's absolute path.
        architecture: a catalogue name, "embedded", or "file" for a whole local model.
        path: the weights; None when only a converted network of them is left on disk.
        sha256: of the weights file.
        preprocessing: "inside", "tf", "caffe", "torch" or "unit".
        size: side of the square of pixels to use.
        chosen_because: why this one, when "auto" chose or something was missing; else None.
    """

    name: str
    architecture: str
    path: Path | None
    sha256: str
    preprocessing: str
    size: int
    chosen_because: str | None = None

    @property
    def of_catalogue(self) -> bool:
        """Whether the weights are the catalogue's own (or embedded), not those of a file of the user's."""
        return self.name == self.architecture


def keras_home() -> Path:
    """The folder Keras keeps its files in: KERAS_HOME, or ~/.keras; read anew at each call.

    Raises:
        BackboneError: this user has no home folder.
    """
    chosen = os.environ.get("KERAS_HOME") or "~/.keras"
    path = os.path.expanduser(chosen)  # Path.expanduser raises RuntimeError where there is no home
    if path.startswith("~"):
        raise BackboneError(
            f"{chosen} cannot be found: this user has no home folder here. Set KERAS_HOME to a folder for "
            "pretrained weights, or use --backbone embedded, which needs none."
        )
    return Path(path)


def weights_path(backbone: Backbone) -> Path:
    """Where the weights of a backbone lie, or would lie."""
    if backbone is EMBEDDED:
        return Path(__file__).parent / "embedded" / EMBEDDED.weights_file
    return keras_home() / "models" / backbone.weights_file


def locate(
    name: str,
    *,
    architecture: str | None = None,
    preprocessing: str | None = None,
    size: int | None = None,
    speaker: Speaker,
    fetch: bool = True,
    networks: Path | None = None,
) -> Source:
    """Find a backbone, fetching its weights once if they are not on disk.

    Args:
        name: a catalogue name, "auto", "embedded", or the path of a .keras, .h5 or .weights.h5 file.
        architecture: the catalogue name that a file of weights alone belongs to.
        preprocessing: for a file that does not hold its own.
        size: side of the square of pixels; None is what the network was trained with.
        speaker: is told what was chosen when "auto" had to make do.
        fetch: whether the network may be used.
        networks: folder of converted networks; one found there, made of the same weights at the size asked
            for, stands in for weights that are gone; None where LiteRT is not to run it.

    Raises:
        BackboneError: unknown name, missing or unsafe file, no network, a size too small.
    """
    _check_preprocessing(preprocessing)
    if _is_path(name):
        source = _local(name, architecture, preprocessing, size)
    elif architecture is not None:
        raise BackboneError(
            f"--architecture {architecture} was given, but --backbone {name} is no file of weights. "
            "Leave --architecture out, or pass the path of the weights as --backbone."
        )
    elif name == "auto":
        source = _auto(speaker, fetch, networks, size)
    else:
        source = _named(find(name), speaker, fetch, networks, size)
    return _sized(_overridden(source, preprocessing), size)


def on_disk(backbone: Backbone) -> bool:
    """Whether the weights of a backbone are in the package or in KERAS_HOME (their hash is not checked)."""
    return os.path.isfile(weights_path(backbone))  # Path.is_file raises where a folder is closed to us


def download(backbone: Backbone, speaker: Speaker) -> Path:
    """Fetch the weights of a backbone to where Keras looks for them, with a progress bar.

    Raises:
        BackboneError: no network, a hash that does not match, a full disk; the message gives the path
            and the address to do it by hand.
    """
    path, expected = weights_path(backbone), backbone.weights_hash
    fetch_file(backbone.weights_url, path, what=backbone.name, expected=expected, speaker=speaker)
    return path


def _check_preprocessing(preprocessing: str | None) -> None:
    if preprocessing is not None and preprocessing not in PREPROCESSINGS:
        raise BackboneError(
            f"--preprocessing is {preprocessing!r}; expected one of {', '.join(PREPROCESSINGS)}. "
            "Leave it out for backbones of the catalogue."
        )


def _is_path(name: str) -> bool:
    suffix = Path(name).suffix.lower()
    return suffix in (".keras", *_WEIGHTS_SUFFIXES) or "/" in name or os.sep in name


def _overridden(source: Source, preprocessing: str | None) -> Source:
    if preprocessing is None or preprocessing == source.preprocessing:
        return source
    if source.of_catalogue:
        raise BackboneError(
            f"--preprocessing {preprocessing} does not go with {source.name}, which was trained with "
            f"{source.preprocessing!r}. It is for network files of your own: leave it out."
        )
    return replace(source, preprocessing=preprocessing)


def _sized(source: Source, size: int | None) -> Source:
    if size is None:
        return source
    known = {**CATALOGUE, EMBEDDED.name: EMBEDDED}
    least = known[source.architecture].min_size if source.architecture in known else 1
    if size < least:
        raise BackboneError(f"--size {size} is too small for {source.name}: it takes {least} pixels or more.")
    return replace(source, size=size)


def _named(
    backbone: Backbone, speaker: Speaker, fetch: bool, networks: Path | None, size: int | None
) -> Source:
    if backbone is EMBEDDED:
        return _embedded()
    found = _present(backbone, speaker, networks, size)
    if found is not None:
        return found
    if not fetch:
        raise BackboneError(
            f"The weights of {backbone.name} are not on disk. Put {backbone.weights_url} at "
            f"{weights_path(backbone)}, or allow the network."
        )
    return _source(backbone, download(backbone, speaker))


def _present(backbone: Backbone, speaker: Speaker, networks: Path | None, size: int | None) -> Source | None:
    """Give the backbone from disk: its sound weights, else a converted network made of them."""
    path = weights_path(backbone)
    if on_disk(backbone) and _is_sound(backbone, path, speaker):
        return _source(backbone, path)
    if networks is None:
        return None
    record = sidecars.stand_in(networks, backbone.name, size or backbone.size, backbone.preprocessing)
    if record is None:
        return None
    note = f"the weights of {backbone.name} are gone from {path}; its converted network is used"
    speaker.warn(note)
    return Source(
        backbone.name, backbone.name, None, record.source_sha256, backbone.preprocessing, record.size, note
    )


def _source(backbone: Backbone, path: Path, because: str | None = None) -> Source:
    digest = sha256_of_file(path)
    return Source(backbone.name, backbone.name, path, digest, backbone.preprocessing, backbone.size, because)


def _embedded() -> Source:
    """Give the backbone inside the package, if its file is the one that its record describes."""
    path = weights_path(EMBEDDED)
    record = sidecars.read(path.with_suffix(".json"))
    try:
        source = _source(EMBEDDED, path)
    except OSError as error:
        raise BackboneError(
            f"{path} cannot be read ({error.strerror or error}). It is part of Handful: install it again."
        ) from error
    if record is None:
        raise BackboneError(
            f"The record of {path} is missing or damaged. It is part of Handful: install it again."
        )
    if record.sha256 != source.sha256:
        raise BackboneError(
            f"{path} is damaged: its sha256 begins with {source.sha256[:12]}, expected {record.sha256[:12]}. "
            "It is part of Handful: install it again."
        )
    return source


def _is_sound(backbone: Backbone, path: Path, speaker: Speaker) -> bool:
    """Check the file against Keras' hash, or at least its HDF5 frame; put a damaged one aside."""
    if backbone.weights_hash is None:
        damage = safety.hdf5_damage(path)
    else:
        damage = _hash_damage(path, backbone.weights_hash)
    if damage is None:
        return True
    aside = path.with_name(path.name + ".damaged")
    with contextlib.suppress(OSError):  # a read-only folder: the file stays, and is not used
        path.replace(aside)
    speaker.warn(f"{path} is damaged ({damage}); it was renamed to {aside.name} and will be fetched again")
    return False


def _hash_damage(path: Path, expected: str) -> str | None:
    try:
        return None if digest_matches(path, expected) else "its hash is not the published one"
    except OSError as error:
        return f"unreadable: {error.strerror or error}"


def digest_matches(path: Path, expected: str) -> bool:
    """Compare a file with an md5 (32 digits) or sha256 (64 digits), as Keras states them."""
    if len(expected) == 64:
        return sha256_of_file(path) == expected
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False))
    return digest.hexdigest() == expected


def _auto(speaker: Speaker, fetch: bool, networks: Path | None, size: int | None) -> Source:
    best = CATALOGUE[AUTO_ORDER[0]]
    found = _present(best, speaker, networks, size)
    if found is not None:
        return _because(found, f"auto: {best.name} is the best ImageNet backbone for a CPU")
    failure = "the network was not to be used"
    if fetch:
        try:
            path = download(best, speaker)
            return _source(best, path, f"auto: {best.name} is the best ImageNet backbone for a CPU")
        except BackboneError as error:
            failure = str(error)
    return _next_best(best, failure, speaker, networks, size)


def _next_best(
    best: Backbone, failure: str, speaker: Speaker, networks: Path | None, size: int | None
) -> Source:
    """Take the best backbone that is on disk, else the embedded one, and say so in one line."""
    reason = failure.partition(". ")[0].strip().rstrip(".")
    for name in AUTO_ORDER[1:]:
        found = _present(CATALOGUE[name], speaker, networks, size)
        if found is not None:
            line = f"{best.name} could not be had ({reason}); using {name}, the best backbone on disk"
            break
    else:
        found = _embedded()
        line = (
            f"{best.name} could not be had ({reason}) and no ImageNet backbone is on disk; using the small "
            "embedded backbone, which is less accurate"
        )
    speaker.warn(line)
    return _because(found, f"auto: {line}")


def _because(source: Source, line: str) -> Source:
    note = f"{line}; {source.chosen_because}" if source.chosen_because else line
    return replace(source, chosen_because=note)


def _local(name: str, architecture: str | None, preprocessing: str | None, size: int | None) -> Source:
    path = Path(os.path.expanduser(name)).absolute()  # so that a trained folder is understood from anywhere
    if not os.path.isfile(path):
        raise BackboneError(
            f"There is no file {name}. --backbone takes a catalogue name (`handful backbones` lists them), "
            "'auto', 'embedded', or the path of a .keras or .h5 file."
        )
    if path.suffix.lower() in _WEIGHTS_SUFFIXES:
        return _local_weights(path, architecture)
    return _local_model(path, architecture, preprocessing, size)


def _local_weights(path: Path, architecture: str | None) -> Source:
    safety.check_weights(path)
    if architecture is None:
        raise BackboneError(
            f"{path} holds weights alone; which network they belong to is not in it. "
            "Say so with --architecture, for example --architecture mobilenet_v2."
        )
    backbone = find(architecture)
    if backbone is EMBEDDED:
        raise BackboneError(
            f"--architecture embedded does not go with the weights {path}: expected a catalogue name. "
            "`handful backbones` lists them."
        )
    digest = sha256_of_file(path)
    return Source(str(path), backbone.name, path, digest, backbone.preprocessing, backbone.size)


def _local_model(path: Path, architecture: str | None, preprocessing: str | None, size: int | None) -> Source:
    if architecture is not None:
        raise BackboneError(
            f"--architecture goes with weights alone; {path} holds its own. Leave --architecture out."
        )
    facts = safety.check_keras_file(path)
    if preprocessing is None and not facts.scales_inside:
        raise BackboneError(
            f"{path} does not say how its pixels were scaled: no Rescaling or Normalization layer follows "
            f"its input. Say so with --preprocessing, one of {', '.join(PREPROCESSINGS)} (inside: it takes "
            "pixels 0 to 255 as they are)."
        )
    chosen = size or facts.size
    if chosen is None:
        raise BackboneError(
            f"{path} takes photos of any size. Say with --size which one to use, for example --size 224."
        )
    digest = sha256_of_file(path)
    return Source(str(path), "file", path, digest, preprocessing or "inside", chosen)
