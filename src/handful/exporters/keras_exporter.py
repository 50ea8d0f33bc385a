"""A plain Keras model: photo in, probabilities out, nothing of ours inside."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from handful.artefact import read_moved
from handful.classifier import Classifier
from handful.errors import BackboneError
from handful.exporters.parity import Parity, compare
from handful.files import sweep, sync_file, sync_folder, temporary_name, write_error
from handful.networks import weights
from handful.networks.quiet import import_keras, without_noise
from handful.progress import Speaker

# LiteRT and Keras order the same float32 sums differently; 3e-5 was seen in features, less in probabilities.
TOLERANCE = 1e-4
MEMBER = "handful.json"


def export_keras(
    classifier: Classifier, target: Path, pixels: Sequence[np.ndarray], speaker: Speaker
) -> Parity:
    """Assemble, save beside, open again as anyone would, compare, and only then put in place."""
    keras = import_keras()
    from handful.networks.assemble import classifier_model

    source = _same_source(classifier, speaker)
    with without_noise():
        model = classifier_model(
            source, source.size, classifier.artefact.weights, classifier.artefact.bias, name="handful",
            moved=read_moved(classifier.artefact),
        )  # fmt: skip
    beside = temporary_name(target).with_suffix(".keras")
    placed = False
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        sweep(target)
        with without_noise():
            model.save(beside)
        _add_names(beside, classifier)
        with without_noise():
            opened = keras.models.load_model(beside, compile=False)
        sync_file(beside)
        parity = compare(
            classifier, lambda batch: np.asarray(opened(batch, training=False)), pixels,
            format="keras", file=target, tolerance=TOLERANCE,
        )  # fmt: skip
        os.replace(beside, target)
        placed = True
        sync_folder(target.parent)
    except OSError as error:
        raise write_error(target, error, placed=placed) from error
    finally:
        beside.unlink(missing_ok=True)
    return parity


def _add_names(path: Path, classifier: Classifier) -> None:
    """Put class names and input contract into the file as a member that Keras leaves alone."""
    card = classifier.card
    rows, columns = card["backbone"]["size"]
    told = {
        "classes": card["classes"],
        "input": {"dtype": "uint8", "shape": [rows, columns, 3], "colours": "RGB, 0 to 255"},
        "output": "probabilities, in the order of classes",
        "resize": "bilinear with antialiasing to the shape, aspect ratio not kept",
        "backbone": card["backbone"],
        "scores": card["scores"],
        "handful": card.get("handful"),
    }
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(MEMBER, json.dumps(told, indent=2))


def _same_source(classifier: Classifier, speaker: Speaker) -> weights.Source:
    """Find the very weights the model was trained on; another file under the same name is refused."""
    entry = classifier.card["backbone"]
    settings = classifier.card["settings"]
    name = entry["name"]
    source = weights.locate(
        name,
        architecture=settings.get("architecture"),
        preprocessing=settings.get("preprocessing"),
        size=entry["size"][0],
        speaker=speaker,
    )
    known = entry.get("weights_sha256")
    if source.sha256 != known:
        raise BackboneError(
            f"{source.path} is not the file this model was trained on (its sha256 begins "
            f"{source.sha256[:12]}, the card says {str(known)[:12]}). Put the original "
            "back, or train again."
        )
    return source
