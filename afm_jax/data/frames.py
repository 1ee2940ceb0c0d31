"""Frames in memory as a store."""

import functools
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from afm_jax.data import frame_options
from afm_jax.data.store import memory
from afm_jax.data.store.reader import SPLITS, Store
from afm_jax.data.store.vocabularies import Vocabularies
from afm_jax.errors import (
    InputError,
    did_you_mean,
)

if TYPE_CHECKING:
    import polars as pl

    from afm_jax.data.fields import Choice
    from afm_jax.data.formats import Layout
    from afm_jax.data.preparation.spill import Spill

_BLOCK_ROWS = 65536
_EMPTY = (str, tuple, list, Mapping)


def prepare_frames(
    frames: Any,
    *,
    label: str | None = None,
    categorical: Sequence[str] = (),
    numeric: Sequence[str] = (),
    multi_valued: Sequence[str] | Mapping[str, str] = (),
    time: str | None = None,
    **options: Any,
) -> Store:
    """Encodes frames as `data.prepare` encodes files; the store is in memory.

        store = prepare_frames(
            {"train": train, "validation": valid},
            label="click",
            categorical=["user", "item"],
            numeric=["price"],
            multi_valued={"tags": "|"},
        )

    Vocabularies, scales and buckets are fitted on the training rows alone. With
    `like=store`, or the run or the folder of one, nothing is fitted: the rows get the ids
    and scales of the old ones, and the options are those of the old preparation.

        day_2 = prepare_frames({"test": new}, like=run)

    Args:
        frames: a mapping of 'train', 'validation' and perhaps 'test' to frames; or 'train'
            and 'test', or 'train' alone, or one frame, whose training rows are then split.
            A frame is one of polars, pandas or pyarrow, or a mapping of names to arrays.
            With `like` any splits may be there, and one frame alone is 'test'.
        label: the column of the labels: 0 or 1, -1 or 1, truth values, or probabilities;
            `positive`, `positive_from` and `real_labels` take others.
        categorical: columns whose values become ids.
        numeric: columns of numbers, which stay numbers unless `numeric_as` says otherwise.
        multi_valued: columns of lists; or of text, with the separator of each.
        time: a column of times; with `split="time"` the last rows are held out.
        **options: the options of `data.prepare`: `min_count`, `numeric_as`, `buckets`,
            `max_slots`, `hash_buckets`, `na_values`, `split`, `fractions`, `seed`, `positive`,
            `positive_from`, `real_labels`, `weight`, `time_fields` and `time_unit`. One
            that says something of a column may be a mapping of columns to values. And
            `like`, the old store or run.

    Raises:
        InputError: a frame, a column, a value or an option is not as it should be.
        ImportError: polars is not installed.
    """
    columns = {
        "label": label,
        "categorical": categorical,
        "numeric": numeric,
        "multi_valued": multi_valued,
        "time": time,
    }
    like = options.pop("like", None)
    given = {
        name: value
        for name, value in columns.items()
        if not (value is None or (isinstance(value, _EMPTY) and not value))
    } | options
    if isinstance(multi_valued, Mapping) and multi_valued:
        given["separator"] = tuple(multi_valued.values())
    try:
        return _prepare(frames, given, like)
    except InputError as error:
        # An option is a flag in the programs, and an argument here.
        raise InputError(re.sub(r"--(\w+)", r"\1", str(error))) from None


def _by_split(frames: Any, *, fitted: bool, to_split: bool) -> dict[str | None, Any]:
    """The frames by their given split, None for rows that are to be split.

    Args:
        frames: as for `prepare_frames`.
        fitted: whether nothing is to be fitted.
        to_split: whether the user asked for rows to be split.
    """
    if not isinstance(frames, Mapping) or not frames or not {*frames} <= {*SPLITS}:
        _refuse_other_splits(frames)
        return {"test" if fitted and not to_split else None: frames}
    given: dict[str | None, Any] = {
        split: frames[split] for split in SPLITS if split in frames
    }
    if fitted and not to_split:
        return given
    if "train" not in given:
        raise InputError(f"There are frames for {', '.join(frames)}, none for train.")
    if "validation" in given:
        return given
    return {
        None if split == "train" else split: frame for split, frame in given.items()
    }


def _refuse_other_splits(frame: Any) -> None:
    """Raises InputError for a mapping of names to frames, which is no frame itself."""
    for name, column in frame.items() if isinstance(frame, Mapping) else ():
        is_frame = isinstance(column, Mapping) or hasattr(column, "columns")
        if is_frame and name not in SPLITS:
            raise InputError(
                f"{name!r} holds a frame; expected frames for {', '.join(SPLITS)} alone.{did_you_mean(name, SPLITS)}"
            )


def _prepare(frames: Any, given: Mapping[str, Any], like: Any) -> Store:
    from afm_jax.data import fields
    from afm_jax.data.formats import columns
    from afm_jax.data.formats import frames as readers
    from afm_jax.data.preparation import fitting
    from afm_jax.data.preparation import options as known_options
    from afm_jax.data.preparation.former import Former

    known = (*known_options.FOR_ALL, *columns.OPTIONS)
    defaults = known_options.DEFAULTS
    given = {
        name: frame_options.plain(name, each, defaults.get(name))
        for name, each in given.items()
    }
    former = None if like is None else Former.of(like)
    asked = former.options(given, known) if former else given
    options = known_options.resolve("frames", asked, known, {})
    separators, lists = options["separator"], options["multi_valued"]
    if not isinstance(separators, str) and len(separators) != len(lists):
        raise InputError(
            f"separator must be one text, or one for each of the {len(lists)} columns of multi_valued, found {separators}."
        )
    to_split = not {*known_options.HOW_TO_SPLIT}.isdisjoint(given)
    frames = _by_split(frames, fitted=former is not None, to_split=to_split)
    told = {split: f"the {split} frame" if split else "the frame" for split in frames}
    named = {told[split]: frames[split] for split in frames}
    first, frame = next(iter(named.items()))
    chosen = columns.Chosen.of(options, lambda: readers.names_of(frame, first))
    options["categorical"] = chosen.categorical
    layout = chosen.layout
    kinds = fields.choose(layout, options)
    known_options.refuse_idle(given, {choice.kind for choice in kinds.values()})
    options.update(known_options.how_to_split(frames, options))
    selected = readers.select(named, chosen)
    chosen.labels.check()
    prepared = fitting.prepare(
        _hold({split: selected[told[split]] for split in frames}, layout, kinds, told),
        kinds,
        {"dataset": "frames", **{name: options[name] for name in known}},
        dataset="frames",
        former=former,
    )
    return memory.collect(
        prepared.schema,
        prepared.blocks,
        Vocabularies(prepared.vocabularies),
        prepared.former_counts,
    )


def _hold(
    frames: "Mapping[str | None, pl.DataFrame]",
    layout: "Layout",
    kinds: "Mapping[str, Choice]",
    told: Mapping[str | None, str],
) -> "Spill":
    """The rows of the frames of each split, in memory; `told` is what they are called."""
    from afm_jax.data import fields
    from afm_jax.data.preparation.blocks import block_of
    from afm_jax.data.preparation.spill import Dictionary, Held, Spill, ordered_map

    coders = fields.coders(kinds)
    coders |= {
        column.name: Dictionary()
        for column in layout.columns
        if column.kind != "numeric" and column.name not in coders
    }
    prepare = functools.partial(fields.prepare, layout=layout, chosen=kinds)

    def hold(task: "tuple[str | None, pl.DataFrame]") -> Held:
        split, part = task
        return Held(block_of(part, layout, coders, prepare), split)

    parts = (
        (split, part)
        for split, frame in frames.items()
        for part in frame.iter_slices(_BLOCK_ROWS)
    )
    blocks = list(ordered_map(hold, parts))
    return Spill(
        layout=layout,
        blocks=blocks,
        dictionaries=coders,
        checksums={},
        source_rows={told[split]: frame.height for split, frame in frames.items()},
        weighted=False,
        rows_of_weight_0=sum(
            int(np.count_nonzero(block.load().weights == 0)) for block in blocks
        ),
    )
