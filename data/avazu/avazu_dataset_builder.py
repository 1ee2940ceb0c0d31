"""Avazu's click logs: 24 categories."""

import types

from afm_jax.data.preparation.raw_builder import RawBuilder
from data.avazu import avazu_reader


class Builder(RawBuilder):
    """Values with one training row are rare, as in BARS Avazu_x4_001."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = "A folder with train.gz of Kaggle's Avazu Click-Through Rate Prediction, or files of that format named train, validation and test."
    reader = avazu_reader
    defaults = types.MappingProxyType({"min_count": 2})
