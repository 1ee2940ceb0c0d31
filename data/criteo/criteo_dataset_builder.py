"""Criteo's click logs: 13 numbers and 26 categories."""

import types

from afm_jax.data.preparation.raw_builder import RawBuilder
from data.criteo import criteo_reader


class Builder(RawBuilder):
    """Values with fewer than 10 training rows are rare, as in BARS Criteo_x4_001."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = "A folder with train.txt of Criteo's Kaggle Display Advertising Challenge, or files of that format named train, validation and test."
    reader = criteo_reader
    defaults = types.MappingProxyType({"min_count": 10})
