"""The main story, read top to bottom: load, freeze, replace, compile, train, fine-tune where it pays."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from handful import telling
from handful.artefact import read_artefact, refuse_what_is_not_ours
from handful.audit.checking import audited
from handful.classifier import Classifier
from handful.config import (
    DEFAULT_PENALTY,
    PENALTIES,
    TrainConfig,
    cache_folder,
    default_folds,
    default_workers,
    with_settings,
)
from handful.data.checks import stop_if_errors
from handful.data.manifest import Manifest, Source
from handful.data.splitting import bundles, stratified_folds
from handful.errors import HandfulError
from handful.features.labelled import Labelled, pass_labelled, refuse_what_cannot_train
from handful.features.store import naming_the_cache
from handful.files import refuse_existing, refuse_unwritable
from handful.finetune.material import material_of
from handful.finetune.tuning import fine_tune, forget
from handful.frozen import open_frozen
from handful.heads.fitting import FittedHead, fit_head
from handful.progress import Speaker, Warnings
from handful.results import decided_result, frozen_result, is_unfinished, write_result


def train(
    photos: Source,
    out: str | Path | None = None,
    *,
    config: TrainConfig | None = None,
    overwrite: bool = False,
    speaker: Speaker | None = None,
    **settings: Any,
) -> Classifier:
    """Turn labelled photos into a classifier.

    Every photo passes the frozen backbone once; a new final layer is learned on the features, and
    scored by cross-validation in which everything that is chosen is chosen without the scored photos. This
    result is written first. Unless `effort` is "quick", fine-tuning the top of the network is then tried on
    held-out photos, and replaces it where it wins. A run that was stopped there goes on when it is called
    again with the same arguments.

    Args:
        photos: a folder with a folder per class (train/, val/ and test/ folders are understood), a CSV or
            TSV file, a data frame with "path" and "label", (path, label) pairs, or a Manifest.
        out: the folder to write; None keeps the model in a temporary folder until `Classifier.save`.
        config: all settings at once.
        overwrite: replace an existing result at `out`.
        speaker: told what happens; by default only warnings show, on standard error.
        **settings: single fields of `TrainConfig`, for example backbone="mobilenet_v2".

    Returns:
        The trained model; its `card` holds the scores and all that was left out.

    Raises:
        DataError: the photos cannot be used; every problem is named.
        ConfigError, BackboneError, ArtefactError: a setting, the backbone, or `out` cannot be used.

    Example:
        >>> classifier = train("photos/", "flowers.handful")  # doctest: +SKIP
        >>> classifier.predict("new.jpg").label               # doctest: +SKIP
        'daisy'
    """
    chosen = with_settings(config, settings)
    listener = speaker or Warnings()
    keep = tempfile.TemporaryDirectory(prefix="handful-") if out is None else None
    target = Path(keep.name) / "model.handful" if keep else Path(out or "")
    refuse_what_is_not_ours(target)
    refuse_existing(target, overwrite=overwrite or is_unfinished(target, chosen))
    refuse_unwritable(target)
    try:
        _write(photos, target, chosen, listener, overwrite=overwrite, kept=keep is None)
        return Classifier(read_artefact(target), keep)
    except BaseException:
        if keep:
            keep.cleanup()
        raise


def _write(
    photos: Source, target: Path, config: TrainConfig, speaker: Speaker, *, overwrite: bool, kept: bool
) -> None:
    manifest = Manifest.read(photos, group_by=config.group_by, fixes=config.fix, burst=config.burst)
    refuse_existing(target, overwrite=overwrite or is_unfinished(target, config, manifest))
    workers = config.workers or default_workers()
    refuse_what_cannot_train(manifest, speaker, workers=workers, allow_bad=config.allow_bad)

    with naming_the_cache(cache_folder()):
        frozen = open_frozen(config, cache_folder(), speaker)
    telling.loaded_and_frozen(speaker, frozen, manifest)
    labelled = audited(
        pass_labelled(
            manifest, frozen.engine, frozen.cache, speaker, workers=workers, allow_bad=config.allow_bad
        )
    )
    stop_if_errors(labelled.problems, speaker, manifest.root)
    telling.passed(speaker, labelled)
    goes_on = is_unfinished(target, config, labelled.manifest, labelled.manifest.fingerprint)
    refuse_existing(target, overwrite=overwrite or goes_on)

    head = _fit(labelled, config, speaker)
    telling.replaced_and_trained(speaker, labelled, head, config.class_weight)
    result = frozen_result(config, frozen, labelled, head, speaker)
    write_result(result, target, overwrite=overwrite or goes_on)
    telling.finished(speaker, labelled, result, head, target)
    if config.effort == "quick":
        return None

    material = material_of(frozen, labelled, head)
    try:
        with telling.keeping_the_frozen(speaker, target if kept else None), naming_the_cache(cache_folder()):
            outcome = fine_tune(material, config, cache_folder(), speaker, workers=workers)
            decided = decided_result(result, outcome, labelled, speaker, workers=workers)
    except HandfulError as error:  # whatever stands in the way of more, the result that is there stays
        return telling.gave_up(speaker, error)
    write_result(decided, target, overwrite=True)
    forget(outcome)
    return telling.decided(speaker, decided, outcome, target)


def _fit(labelled: Labelled, config: TrainConfig, speaker: Speaker) -> FittedHead:
    training, values = labelled.of("train")
    groups = bundles(training.rows)
    folds = config.folds or default_folds(training.labels, groups)
    with speaker.bar("the new layer, penalty by penalty", len(PENALTIES)) as advance:
        return fit_head(
            values,
            training.labels,
            stratified_folds(training.labels, folds, config.seed, groups),
            classes=len(training.classes),
            penalties=PENALTIES,
            default_penalty=DEFAULT_PENALTY,
            balanced=config.class_weight == "balanced",
            advance=advance,
        )
