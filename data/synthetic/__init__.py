"""Data drawn from a model that is known: the embedded default, and ground truth.

`make` gives a store in memory, `plant` the model behind it.
"""

from data.synthetic.criteo_tsv import write_criteo_tsv
from data.synthetic.encoded import make
from data.synthetic.planted import Planted, plant

__all__ = ["Planted", "make", "plant", "write_criteo_tsv"]
