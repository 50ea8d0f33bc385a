"""`export`: one call for every format."""

from __future__ import annotations

from pathlib import Path

from handful.classifier import Classifier
from handful.errors import ExportError
from handful.exporters.parity import Parity, photos_to_compare
from handful.files import refuse_existing, refuse_unwritable
from handful.plain import percent
from handful.progress import Speaker, Warnings

FORMATS = ("keras",)


def export(
    classifier: Classifier | str | Path,
    out: str | Path,
    *,
    format: str = "keras",
    photos: str | Path | None = None,
    overwrite: bool = False,
    speaker: Speaker | None = None,
) -> Parity:
    """Write a model in a format that needs no Handful.

    "keras": one .keras file of plain layers. It takes uint8 photos (n, h, w, 3), RGB, at the size the card
    names, and gives probabilities (n, k); scaling is inside. Class names lie in its member "handful.json".

    Args:
        classifier: a model, or the folder it lies in.
        out: the file to write.
        format: one of "keras".
        photos: a folder of photos to compare on; None takes training photos, where they still are.
        overwrite: replace an existing file.
        speaker: told what happens; by default only warnings show, on standard error.

    Returns:
        How the export compares with the original on real photos.

    Raises:
        ExportError: unknown format, no photo to compare on, or the two disagree; nothing is kept then.
        BackboneError: the backbone's weights are no longer to be had.
        ArtefactError: the model cannot be opened, or `out` exists.
    """
    if format not in FORMATS:
        raise ExportError(f"Format {format!r} is not known. There is: {', '.join(FORMATS)}.")
    model = classifier if isinstance(classifier, Classifier) else Classifier.load(classifier)
    target = Path(out)
    if target.suffix != ".keras":
        raise ExportError(f"{target}: Keras opens only files named .keras. Choose -o {target.stem}.keras.")
    refuse_existing(target, overwrite=overwrite)
    refuse_unwritable(target)
    listener = speaker or Warnings()
    with listener.busy("assembling, and comparing on photos"):
        pixels = photos_to_compare(model, Path(photos) if photos else None)
        from handful.exporters.keras_exporter import export_keras

        parity = export_keras(model, target, pixels, listener)
    listener.say(
        f"{target}: compared with the model on {parity.photos} photos, the same label on "
        f"{percent(parity.same_label, 0)}, probabilities at most {parity.largest_difference:.1e} apart"
    )
    return parity
