"""Data drawn from a model that is known: the embedded default, and ground truth.

`make` gives a store in memory, `plant` the model behind it.
"""

from afm_jax.data.synthetic.criteo_tsv import write_criteo_tsv
from afm_jax.data.synthetic.encoded import make
from afm_jax.data.synthetic.planted import Planted, plant

__all__ = ["Planted", "make", "plant", "write_criteo_tsv"]
