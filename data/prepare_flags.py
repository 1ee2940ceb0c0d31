"""The flags of data.prepare, and so the options of a preparation."""

from absl import flags

from afm_jax.data import fields
from afm_jax.data.formats import dialect
from data.catalogue import DATASETS
from experiments.cli import option_flags
from experiments.cli.groups import Group

FLAGS = flags.FlagValues()

_SOURCE, _STORE = Group(FLAGS, "Source"), Group(FLAGS, "Store")
_COLUMNS, _FIELDS = Group(FLAGS, "Columns"), Group(FLAGS, "Fields")
_TEXT, _SPLIT = Group(FLAGS, "Text files"), Group(FLAGS, "Splits")

_SOURCE.enum(
    "dataset",
    None,
    list(DATASETS),
    "What the source is: a named data set, any files of a format, or rows that are drawn.",
)
_SOURCE.string(
    "source",
    None,
    "File or folder of raw data. Every dataset but synthetic needs one.",
)
_SOURCE.string(
    "like",
    None,
    "Folder of a store or a run whose vocabularies, scales and options new rows take over; nothing is fitted. Files may then name any splits, and rows of which nothing else is said are for test.",
)
_STORE.string("data_dir", None, "Folder that holds all prepared stores.")
_STORE.string(
    "name",
    None,
    "Name of the store; that of the dataset if not given, or of the data set of --like.",
)
_STORE.boolean(
    "overwrite",
    False,
    "Replace the store of this name, once the new one is whole.",
)
_STORE.boolean(
    "records",
    False,
    "Also write the rows of the store as TFDS records, to exchange them.",
)
_STORE.boolean(
    "verify",
    False,
    "Prepare nothing; check every checksum and row of the store of this name.",
)
_STORE.boolean(
    "upgrade",
    False,
    "Prepare nothing; make a store of the records of version 1 of this name.",
)
flags.mark_flag_as_required("data_dir", flag_values=FLAGS)

_ALSO = {
    "categorical": " '*' stands for all columns that no other flag names.",
    "min_count": " If not given, 1, for criteo 10 and for avazu 2, as in the BARS benchmarks x4_001, for synthetic 10.",
}
"""What to add to the help of an option."""

_OF_THE_PROGRAM = frozenset(FLAGS)

_SOURCE.items(
    "rows",
    None,
    "For synthetic, how many rows to draw for train, validation and perhaps test; 200000,25000,25000 if not given.",
)
_COLUMNS.string(
    "label",
    None,
    "For csv and parquet, the name of the column of labels. Without another flag a label is 0 or 1, -1 or 1, true or false, yes or no, or a probability between 0 and 1.",
)
_COLUMNS.string(
    "positive",
    None,
    "The one value of the label that is label 1; all other values are label 0.",
)
_COLUMNS.number(
    "positive_from",
    None,
    "The least number of the label that is label 1, such as 4 for ratings of 4 and 5.",
)
_COLUMNS.boolean(
    "real_labels",
    None,
    "Labels are real numbers and stay as they are, for --loss=regression of experiments.train; false if not given.",
)
_COLUMNS.string(
    "weight",
    None,
    "For csv and parquet, the name of a column that says how much a row counts in the loss and in all metrics: a number of 0 or more. Rows of weight 0 are left out.",
)
for _role, _told in {
    "categorical": "columns of categories, each value of which gets an id",
    "numeric": "columns of numbers",
    "multi_valued": "columns that hold any number of categories a row",
}.items():
    _COLUMNS.items(
        _role,
        None,
        f"For csv and parquet, the names of the {_told}." + _ALSO.get(_role, ""),
    )
_COLUMNS.string(
    "separator",
    None,
    "For csv and parquet, what stands between the values of a multi-valued column; | if not given.",
)
_COLUMNS.string(
    "time",
    None,
    "For csv and parquet, the name of the column of times, for --split=time and --time_fields: numbers, or in all rows ISO dates such as 2024-01-31 or 2024-01-31T23:59:59+01:00. Text without a zone is in UTC.",
)
_COLUMNS.items(
    "time_fields",
    None,
    "Fields to make of the column of times: hour (0 to 23), weekday (1 to 7 from Monday) and month (1 to 12). They are those of the zone in which a time is written, or of UTC where none is.",
)
_COLUMNS.enum(
    "time_unit",
    None,
    ["s", "ms", "us", "ns"],
    "For --time_fields of times that are numbers: the unit in which they count from the beginning of 1970 in UTC.",
)
_COLUMNS.items(
    "field_sizes",
    None,
    "For libfm, how many ids, counted from 0, each field has. If not given, the position of a feature in its row tells its field.",
)
_COLUMNS.items(
    "field_names",
    None,
    "For libfm and libffm, the names of the fields, for libffm in the order of their numbers. If not given, field_ and the field's number.",
)
_SPLIT.enum(
    "split",
    None,
    ["random", "time"],
    "How rows are split that do not come in files named train, validation and test, and how validation rows are held out of train where there is no validation file; random if not given.",
)
_SPLIT.items(
    "fractions",
    None,
    "Fractions of the rows for train, validation and perhaps test. If not given, 0.8,0.1,0.1, or 0.9,0.1 where the test rows are a file of their own.",
)
_SPLIT.integer(
    "seed",
    None,
    "Seed of the random split, or of the synthetic rows; 0 if not given.",
)
# The options of the preparation, passed on as they are if given.
for _group, _options in (_FIELDS, fields.options()), (_TEXT, dialect.OPTIONS):
    option_flags.define(
        _options, _group, help=lambda option: option.help + _ALSO.get(option.name, "")
    )

OPTIONS = tuple(name for name in FLAGS if name not in _OF_THE_PROGRAM)
"""The options of a preparation, each with the flag of its name."""

NUMBERS = {"fractions": float, "field_sizes": int, "rows": int}
"""Options that are lists of numbers."""
