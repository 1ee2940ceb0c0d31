"""Programs and named sets: `python -m data.prepare`; the library is `afm_jax.data`."""

from collections.abc import Mapping

import experiments.cli  # noqa: F401  # Before all that takes time: see its start.py.
from afm_jax import moved

MOVED: Mapping[str, str] = {
    "data.arrays": "afm_jax.data.store.arrays",
    "data.builder": "afm_jax.data.preparation.builder",
    "data.encoders": "afm_jax.data.fields",
    "data.encoding": "afm_jax.data.preparation.encoding",
    "data.endings": "experiments.cli.endings",
    "data.failures": "experiments.cli.failures",
    "data.leftovers": "afm_jax.files",
    "data.loader": "afm_jax.data.loader",
    "data.multi_valued": "afm_jax.data.fields.multi_valued",
    "data.numeric": "afm_jax.data.fields",
    "data.permutation": "afm_jax.data.permutation",
    "data.program": "experiments.cli.program",
    "data.quotes": "afm_jax.data.formats.quotes",
    "data.raw_builder": "afm_jax.data.preparation.raw_builder",
    "data.readers": "afm_jax.data.formats",
    "data.records": "afm_jax.data.store.record_writer",
    "data.rows": "afm_jax.features",
    "data.signals": "experiments.cli.signals",
    "data.sources": "afm_jax.data.formats.sources",
    "data.spill": "afm_jax.data.preparation.spill",
    "data.splits": "afm_jax.data.preparation.splits",
    "data.start": "experiments.cli.start",
    "data.store": "afm_jax.data.store",
    "data.store_version_1": "afm_jax.data.store.version_1",
    "data.store_writer": "afm_jax.data.store.writer",
    "data.streams": "experiments.cli.streams",
    "data.synthetic.Planted": "afm_jax.data.synthetic.Planted",
    "data.synthetic.criteo_tsv": "afm_jax.data.synthetic.criteo_tsv",
    "data.synthetic.encoded": "afm_jax.data.synthetic.encoded",
    "data.synthetic.make": "afm_jax.data.synthetic.make",
    "data.synthetic.plant": "afm_jax.data.synthetic.plant",
    "data.synthetic.planted": "afm_jax.data.synthetic.planted",
    "data.synthetic.write_criteo_tsv": "afm_jax.data.synthetic.write_criteo_tsv",
    "data.text": "afm_jax.data.formats.text",
    "data.upgrade": "afm_jax.data.store.upgrade",
}
"""Where the modules of version 0.1 are. The table goes in version 0.3."""

moved.install(MOVED)
