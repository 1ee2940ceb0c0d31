"""Columns of a source that a preparation does not use."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from afm_jax.data.formats import Layout, text

_SHOWN = 20

_log = logging.getLogger(__name__)


def tell(names: Sequence[str], layout: Layout, options: Mapping[str, Any]) -> None:
    """Logs the columns of a file that are neither a feature nor label or time.

    Args:
        names: of all columns of the file.
        layout: the columns that are features.
        options: of the preparation, which name the label and the time.
    """
    used = {options["label"], options["time"], *(each.name for each in layout.columns)}
    found = [name for name in names if name not in used]
    if found:
        shown = ", ".join(map(text.shown, found[:_SHOWN]))
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        _log.info("Columns that are not used: %s%s.", shown, more)
