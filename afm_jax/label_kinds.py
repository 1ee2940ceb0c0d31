"""What labels are: 0 or 1, probabilities, or real numbers."""

import numpy as np

LABEL_KINDS = {
    "binary": "0 or 1",
    "probability": "probabilities from 0 to 1",
    "real": "real numbers",
}
"""What labels may be, and how to say it; each kind holds those before it."""


def holds(kind: str, labels: np.ndarray) -> np.ndarray:
    """Which labels are of a kind of `LABEL_KINDS`; bool of the shape of the labels."""
    if kind == "binary":
        return (labels == 0) | (labels == 1)
    return (
        (labels >= 0) & (labels <= 1) if kind == "probability" else np.isfinite(labels)
    )


def narrowest_kind(labels: np.ndarray, *, least: str = "binary") -> str:
    """The first of `LABEL_KINDS`, from `least` on, that holds all these labels.

    It is 'real' if none does.
    """
    kinds = list(LABEL_KINDS)
    wide = kinds[kinds.index(least) :]
    return next((kind for kind in wide if holds(kind, labels).all()), "real")
