"""Avazu's click logs: 24 categories."""

import types

from data.raw_builder import RawBuilder
from data.readers import avazu


class Builder(RawBuilder):
    """Values with one training row are rare, as in BARS Avazu_x4_001."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = "A folder with train.gz of Kaggle's Avazu Click-Through Rate Prediction, or files of that format named train, validation and test."
    reader = avazu
    defaults = types.MappingProxyType({"min_count": 2})
