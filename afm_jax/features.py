"""Features, Batch and Schema: what the data layer hands to models and training.

B rows, S slots, F fields, D dense columns. A field is a column such as user or hour; a feature
id is one value of one field, a row of the embedding table that all fields share. A field has
one slot, or several if it is multi-valued.
"""

import dataclasses
import json
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np

from afm_jax.label_kinds import LABEL_KINDS

Array = jax.Array | np.ndarray

MISSING = 0
"""The first id of every field, counted from the field's offset: no value."""

UNSEEN = 1
"""The second id of every field: a value unseen or rare in the training split."""

FIRST = 2
"""The first id of a field that stands for a value of its own."""


class Features(NamedTuple):
    """What a model sees of B rows.

    Attributes:
        ids: int32 [B, S], global feature ids (field offsets added), in [0, vocab_size).
        values: float32 [B, S], the weight x_i of each feature, 0 in the unused slots of a
            multi-valued field; None means all ones.
        dense: float32 [B, D], the columns kept as numbers; D may be 0.
    """

    ids: Array
    values: Array | None
    dense: Array


class Batch(NamedTuple):
    """B rows to train or evaluate on.

    Attributes:
        features: the rows' features.
        labels: float32 [B], of a kind of `afm_jax.label_kinds`.
        weights: float32 [B] >= 0, 0 for padding. A padding row repeats a real row of the batch,
            so that it brings no feature id; batch normalization counts it.
        unique_ids: int32 [U] or None. If given, they are the distinct feature ids of the batch
            in rising order, filled up with ids of no table row (vocab_size and above), and
            `features.ids` are positions in them. See `training.table_rows.deduplicate`.
    """

    features: Features
    labels: Array
    weights: Array
    unique_ids: Array | None = None


class Rows(NamedTuple):
    """N encoded rows of data: of a split, or a block of one.

    Attributes:
        ids: int32 [N, S], global feature ids.
        values: float32 [N, S] or None (all ones).
        dense: float32 [N, D].
        labels: float32 [N], of a kind of `afm_jax.label_kinds`.
        weights: float32 [N] above 0, how much each row counts, or None (all ones).
        numbers: int64 [N], the number of each row in its source, from 0 over all files in the
            order of `Schema.source_rows`; None where it is not known.
    """

    ids: np.ndarray
    values: np.ndarray | None
    dense: np.ndarray
    labels: np.ndarray
    weights: np.ndarray | None = None
    numbers: np.ndarray | None = None

    def take(self, positions: np.ndarray) -> "Rows":
        """The rows at int positions, [n...]; every array becomes [n..., its own axes]."""
        return Rows(*_each(lambda column: column.take(positions, axis=0), self))

    def slice(self, start: int, stop: int) -> "Rows":
        """The rows from `start` to before `stop`, not copied."""
        return Rows(*_each(lambda column: column[start:stop], self))

    @classmethod
    def concatenate(cls, parts: Sequence["Rows"]) -> "Rows":
        """The rows of all parts, which must have the same columns."""
        return cls(*_each(lambda *pieces: np.concatenate(pieces), *parts))


def _each(change: Callable[..., np.ndarray], *parts: Rows) -> Any:
    columns = zip(*parts, strict=True)
    return (None if column[0] is None else change(*column) for column in columns)


@dataclasses.dataclass(frozen=True)
class Field:
    """A column whose values have feature ids.

    Attributes:
        name: the column's name.
        kind: such as 'categorical'; the name of a file in `afm_jax.data.fields`.
        vocab_size: number of ids of this field, MISSING and UNSEEN included.
        offset: the field's first global id.
        slots: ids per row; above 1 for multi-valued fields only.
        vocabulary_crc32: checksum of the values in id order, so that two vocabularies of one
            size are told apart.
        boundaries: rising bucket edges of a 'bucket_quantile' field.
    """

    name: str
    kind: str
    vocab_size: int
    offset: int
    slots: int = 1
    vocabulary_crc32: int = 0
    boundaries: tuple[float, ...] = ()


@dataclasses.dataclass(frozen=True)
class DenseColumn:
    """A column of `Features.dense`.

    Attributes:
        name: the column's name.
        transform: 'log1p' for (sign(x) log(1 + |x|) - mean) / std, a missing x being the mean,
            0; 'min_max' for (x - mean) / std, a missing x being 0; 'missing' for 1 where the
            column of this name has no value, else 0; 'none' for numbers taken as they are.
        mean: mean of sign(x) log(1 + |x|) over the training split; for 'min_max' the smallest x
            of it.
        std: its standard deviation; for 'min_max' the range of x.
        low: the smallest sign(x) log(1 + |x|), or x, of the training split, at most 10 times
            std below the mean. What lies below counts as this. None in stores of version 1,
            which take any number.
        high: the largest, in the same way.
    """

    name: str
    transform: str
    mean: float = 0.0
    std: float = 1.0
    low: float | None = None
    high: float | None = None


@dataclasses.dataclass(frozen=True)
class Schema:
    """How columns of a data set became features; stored with data and checkpoints.

    Attributes:
        dataset: name of the data set.
        fields: the fields in slot order.
        dense: the columns of `Features.dense`, in order.
        label: in words, which rows have label 1.
        rows: number of rows of each split.
        sources: checksum of each source file.
        options: the options of the preparation.
        source_rows: rows of each source file, in the order in which `Rows.numbers` counts them;
            empty in stores of version 1.
        label_mean: weighted mean of the training labels; None in stores of version 1.
        label_kind: what all labels are, of `afm_jax.label_kinds`.
    """

    dataset: str
    fields: tuple[Field, ...]
    dense: tuple[DenseColumn, ...] = ()
    label: str = ""
    rows: Mapping[str, int] = dataclasses.field(default_factory=dict)
    sources: Mapping[str, str] = dataclasses.field(default_factory=dict)
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    source_rows: Mapping[str, int] = dataclasses.field(default_factory=dict)
    label_mean: float | None = None
    label_kind: str = "binary"

    @property
    def vocab_size(self) -> int:
        """Number of feature ids of all fields together."""
        return sum(field.vocab_size for field in self.fields)

    @property
    def slot_fields(self) -> tuple[int, ...]:
        """The index of the field of each slot, [S], rising."""
        return tuple(
            index for index, field in enumerate(self.fields) for _ in range(field.slots)
        )

    def slot(self, field_name: str) -> int:
        """The first slot of the named field.

        Raises:
            KeyError: no field has this name.
        """
        names = [field.name for field in self.fields]
        if field_name not in names:
            raise KeyError(f"no field {field_name!r}; the fields are {tuple(names)}")
        return self.slot_fields.index(names.index(field_name))

    def to_json(self) -> str:
        """The schema as JSON text."""
        return json.dumps(dataclasses.asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Schema":
        """The schema of a JSON text made by `to_json`.

        Raises:
            ValueError, KeyError, TypeError or AttributeError: it is no such text, or its
                parts do not fit each other.
        """
        try:
            plain = json.loads(text)
        except RecursionError:
            raise ValueError("it is nested too deeply") from None
        fields = tuple(
            _checked(Field(**{**field, "boundaries": tuple(field["boundaries"])}))
            for field in plain.pop("fields")
        )
        dense = tuple(_checked(DenseColumn(**column)) for column in plain.pop("dense"))
        schema = _checked(cls(fields=fields, dense=dense, **plain))
        offset = 0
        for field in fields:
            if field.offset != offset or field.vocab_size < 1 or field.slots < 1:
                raise ValueError(f"field {field.name!r} does not fit the one before it")
            offset += field.vocab_size
        if schema.label_kind not in LABEL_KINDS:
            raise ValueError(f"label_kind is {schema.label_kind!r}")
        for name, rows in (*schema.rows.items(), *schema.source_rows.items()):
            if not isinstance(rows, int) or rows < 0:
                raise ValueError(f"{name} has {rows!r} rows")
        return schema

    def difference(self, other: "Schema") -> str | None:
        """The first thing that makes features of the two schemas incompatible.

        Row counts, sources and options do not matter: one model serves two sets of rows encoded
        alike. Nor does a range of numbers that one schema alone has, beyond those of training.

        Returns:
            One line that names the field or column and both values, or None.
        """
        return _difference("field", self.fields, other.fields) or _difference(
            "dense column", self.dense, other.dense
        )

    def same_data(self, other: "Schema") -> bool:
        """Whether both are of the same rows, encoded alike.

        What only one of them tells does not count: stores of an older version tell less.
        """
        both = self.options.keys() & other.options.keys()
        one, two = dataclasses.asdict(self), dataclasses.asdict(other)
        for plain in one, two:
            del plain["source_rows"], plain["label_mean"]
            plain["options"] = {name: plain["options"][name] for name in both}
        # As JSON, which has no tuples.
        return json.dumps(one, sort_keys=True) == json.dumps(two, sort_keys=True)


_Part = TypeVar("_Part", Field, DenseColumn, Schema)

_IN_JSON: Mapping[Any, Any] = {str: str, int: int, float: float | int} | {
    float | None: float | int | None
}
"""What JSON may hold where a class of this file has a type; others are read as written."""


def _checked(part: _Part) -> _Part:
    """The part; raises ValueError if a value is not of the type that its class names."""
    for attribute in dataclasses.fields(part):
        kind: Any = attribute.type
        value = getattr(part, attribute.name)
        if not isinstance(value, _IN_JSON.get(kind, typing.get_origin(kind))):
            raise ValueError(f"{attribute.name} is {value!r}")
    return part


def _difference(
    kind: str,
    ours: Sequence[Field | DenseColumn],
    theirs: Sequence[Field | DenseColumn],
) -> str | None:
    if len(ours) != len(theirs):
        return f"{len(ours)} {kind}s against {len(theirs)}"
    for one, two in zip(ours, theirs, strict=True):
        for name, value in dataclasses.asdict(one).items():
            found = getattr(two, name)
            unknown = name in ("low", "high") and None in (value, found)
            if found != value and not unknown:
                return f"{kind} {one.name!r}: {name} is {value!r} against {found!r}"
    return None
