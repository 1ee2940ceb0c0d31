"""Numbers in words, for what programs say."""

import numpy as np


def count(number: int, what: str) -> str:
    """Such as '1 row' or '25,000 rows'."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def duration(seconds: float) -> str:
    """Such as '40 s', '12 min' or '3.5 h'."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def labels(labels: np.ndarray) -> str:
    """The rows of a split, and how many are positive; of labels between, their mean.

    Args:
        labels: real [N], N > 0.
    """
    rows, positives = len(labels), int(np.count_nonzero(labels))
    mean = float(np.mean(labels, dtype=np.float64))
    if not np.isclose(mean * rows, positives, rtol=1e-9):  # not all are 0 or 1
        return f"{count(rows, 'row')}, mean label {mean:.4g}"
    return f"{count(rows, 'row')}, {positives:,} positive ({100 * mean:.3g}%)"
