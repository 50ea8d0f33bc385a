"""Scores of predictions against labels, all from the confusion matrix or the probabilities."""

from __future__ import annotations

import numpy as np


def softmax(logits: np.ndarray) -> np.ndarray:
    """Turn logits (n, k) into float32 probabilities (n, k) whose rows sum to 1."""
    wide = logits.astype(np.float64)
    wide -= wide.max(axis=1, keepdims=True)
    np.exp(wide, out=wide)
    wide /= wide.sum(axis=1, keepdims=True)
    return wide.astype(np.float32)


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Count int (k, k): row is the label, column the prediction."""
    flat = np.bincount(labels * classes + predicted, minlength=classes * classes)
    return flat.reshape(classes, classes)


def accuracy(confusion: np.ndarray) -> float:
    """Share of photos on the diagonal; nan without photos."""
    total = confusion.sum()
    return float(np.trace(confusion) / total) if total else float("nan")


def recalls(confusion: np.ndarray) -> np.ndarray:
    """Share of each class's photos that were recognised, float (k,); nan for a class without photos."""
    return _share(np.diag(confusion), confusion.sum(axis=1))


def precisions(confusion: np.ndarray) -> np.ndarray:
    """Share of each class's predictions that were right, float (k,); nan for a class never predicted."""
    return _share(np.diag(confusion), confusion.sum(axis=0))


def balanced_accuracy(confusion: np.ndarray) -> float:
    """Mean recall over the classes that have photos: each class counts alike, however many it has."""
    known = recalls(confusion)
    known = known[np.isfinite(known)]
    return float(known.mean()) if len(known) else float("nan")


def f1_scores(confusion: np.ndarray) -> np.ndarray:
    """Harmonic mean of recall and precision of each class, float (k,).

    Zero for a class whose photos were all missed; nan for one that neither occurs nor was predicted.
    """
    return _share(2 * np.diag(confusion), confusion.sum(axis=0) + confusion.sum(axis=1))


def macro_f1(confusion: np.ndarray) -> float:
    """Mean F1 over the classes that occur or were predicted; nan without photos.

    Source: the mean of the classes' F1, not the F1 of mean precision and recall; Opitz and Burst 2019,
    arXiv 1911.03347, on why the two differ.
    """
    known = f1_scores(confusion)
    known = known[np.isfinite(known)]
    return float(known.mean()) if len(known) else float("nan")


def brier_score(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Mean squared distance of probabilities (n, k) from the truth, summed over classes: 0 to 2, 0 is best.

    Source: Brier 1950, Monthly Weather Review 78(1), equation 2.
    """
    apart = probabilities.astype(np.float64)
    apart[np.arange(len(labels)), labels] -= 1
    return float((apart**2).sum(axis=1).mean())


def log_loss(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Mean of -log(probability of the label), in nats; probabilities below 1e-12 count as 1e-12."""
    true = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.maximum(true, 1e-12)).mean())


def commonest_confusion(confusion: np.ndarray) -> tuple[int, int, int] | None:
    """The most frequent mistake as (label, predicted, how often); None when there is none."""
    wrong = confusion.copy()
    np.fill_diagonal(wrong, 0)
    if not wrong.any():
        return None
    label, predicted = np.unravel_index(int(wrong.argmax()), wrong.shape)
    return int(label), int(predicted), int(wrong[label, predicted])


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)
