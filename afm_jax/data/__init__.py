"""From raw files to batches, in the order of the rooms.

`formats` reads files as frames, `fields` says what a column becomes, `preparation` makes
encoded rows of frames, `store` keeps them, and `loader` makes batches of them.
`synthetic` draws rows from a model that is known.

Nothing here imports a model, training or a program. Work that takes long is handed
`advance`, which is told how far it is; see `afm_jax.data.progress`.
"""

from afm_jax.data.frames import prepare_frames
from afm_jax.data.ready_ids import store_of_ids

__all__ = ["prepare_frames", "store_of_ids"]
