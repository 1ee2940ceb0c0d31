import pathlib
import threading

import numpy as np
import pytest

pytest.importorskip("polars", reason="needs the extra 'data'")

import polars as pl

from afm_jax.data import formats
from afm_jax.data.fields.codes import Dictionary
from afm_jax.data.formats import sources
from afm_jax.data.preparation import spill
from afm_jax.errors import InputError

LAYOUT = formats.Layout(
    "y is 1",
    (
        formats.Column("n", "numeric"),
        formats.Column("c", "categorical"),
        formats.Column("m", "multi_valued"),
        formats.Column("d", "categorical"),
    ),
    order=formats.TIME,
)


def random_frame(rng, rows, weighted):
    words = np.array(["a", "b", "é", "", "long " * 9, None], object)
    many = [list(rng.choice(words[:5], rng.integers(0, 4))) for _ in range(rows)]
    frame = {
        formats.LABEL: pl.Series(rng.integers(0, 2, rows), dtype=pl.Float32),
        formats.TIME: rng.integers(0, 9, rows),
        "n": [None if x < -1 else x for x in rng.normal(size=rows)],
        "c": pl.Series(rng.choice(words, rows).tolist(), dtype=pl.String),
        "d": pl.Series(rng.choice(words, rows).tolist(), dtype=pl.String),
        "m": pl.Series(many, dtype=pl.List(pl.String)),
    }
    if weighted:
        for name in ("c", "d"):
            x = rng.normal(size=rows)
            frame[formats.VALUES + name] = pl.Series(x, dtype=pl.Float32)
        x = [rng.normal(size=len(items)).tolist() for items in many]
        frame[formats.VALUES + "m"] = pl.Series(x, dtype=pl.List(pl.Float32))
    return pl.DataFrame(frame)


def spilled(tmp_path, frames, prepare=lambda numbers: numbers):
    path = tmp_path / "rows"
    path.write_bytes(b"123456789")
    parts = [formats.Part(lambda frame=frame: frame, 1) for frame in frames]
    reader = formats.Reader(LAYOUT, lambda path: iter(parts))
    files = [sources.SourceFile(path, "validation")]
    return spill.spill(files, reader, tmp_path / "scratch", prepare)


@pytest.mark.parametrize("weighted", [False, True])
def test_rows_come_back_as_they_were(tmp_path, weighted):
    rng = np.random.default_rng(5)
    frames = [random_frame(rng, rows, weighted) for rows in (40, 1, 17)]
    found = spilled(tmp_path, frames)
    assert found.weighted == weighted
    assert found.checksums == {"rows": "crc32:cbf43926"}
    texts = {
        name: [None, *dictionary.strings()]
        for name, dictionary in found.dictionaries.items()
    }
    for stored, frame in zip(found.blocks, frames, strict=True):
        block = stored.load()
        assert (stored.rows, stored.split) == (frame.height, "validation")
        np.testing.assert_array_equal(block.labels, frame[formats.LABEL])
        np.testing.assert_array_equal(block.times, frame[formats.TIME])
        np.testing.assert_array_equal(stored.load_times(), frame[formats.TIME])
        np.testing.assert_array_equal(block.numbers[0], frame["n"].fill_null(np.nan))
        for codes, name in zip(block.codes, ("c", "d"), strict=True):
            assert [texts[name][code] for code in codes] == frame[name].to_list()
        (many,) = block.many
        items = [texts["m"][code] for code in many.codes]
        assert items == [item for items in frame["m"] for item in items]
        assert many.lengths.tolist() == frame["m"].list.len().to_list()
        if weighted:
            np.testing.assert_array_equal(block.values[1], frame[formats.VALUES + "d"])
            flat = [x for items in frame[formats.VALUES + "m"] for x in items]
            np.testing.assert_array_equal(many.values, np.float32(flat))
        else:
            assert block.values.size == many.values.size == 0


def test_files_of_one_name_in_two_folders_have_checksums_of_their_own(tmp_path):
    frame = random_frame(np.random.default_rng(8), 2, weighted=False)
    files = []
    for split in ("train", "validation"):
        path = tmp_path / split / "part-0"
        path.parent.mkdir()
        path.write_text(split)
        files.append(sources.SourceFile(path, split))
    reader = formats.Reader(LAYOUT, lambda path: iter([formats.Part(lambda: frame, 1)]))
    found = spill.spill(files, reader, tmp_path / "scratch", lambda numbers: numbers)
    assert list(found.checksums) == ["train/part-0", "validation/part-0"]
    assert len(set(found.checksums.values())) == 2
    assert found.source_rows == {"train/part-0": 2, "validation/part-0": 2}


def test_numbers_are_prepared_before_they_are_stored(tmp_path):
    frame = random_frame(np.random.default_rng(6), 9, weighted=False)
    block = spilled(tmp_path, [frame], lambda x: 2 * x).blocks[0].load()
    np.testing.assert_array_equal(block.numbers[0] / 2, frame["n"].fill_null(np.nan))


def test_the_first_error_of_a_file_is_told(tmp_path):
    def bad(text):
        def parse():
            raise InputError(text)

        return formats.Part(parse, 1)

    frame = random_frame(np.random.default_rng(7), 3, weighted=False)
    parts = [formats.Part(lambda: frame, 1), bad("line 4"), bad("line 9")]
    (tmp_path / "rows").write_text("x")
    with pytest.raises(InputError, match="line 4"):
        spill.spill(
            [sources.SourceFile(tmp_path / "rows", None)],
            formats.Reader(LAYOUT, lambda path: iter(parts)),
            tmp_path / "scratch",
            lambda numbers: numbers,
        )


def test_a_dictionary_gives_a_string_one_code_in_all_threads():
    dictionary = Dictionary()
    words = pl.Series("w", [f"w{i % 1000}" for i in range(5000)] + [None])
    codes = {}

    def encode(name):
        part = words if name % 2 else words.reverse()
        codes[name] = part.to_frame().select(dictionary.codes(pl.col("w")))["w"]

    threads = [threading.Thread(target=encode, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    strings = [None, *dictionary.strings()]
    assert sorted(strings[1:]) == sorted(f"w{i}" for i in range(1000))
    assert [strings[code] for code in codes[1]] == words.to_list()
    assert codes[0].to_list() == codes[1].to_list()[::-1] == codes[3].to_list()[::-1]


def test_ordered_map_keeps_the_order_and_reads_few_items_ahead():
    taken = []

    def items():
        for item in range(50):
            taken.append(item)
            yield item

    results = spill.ordered_map(lambda item: item * item, items())
    assert next(results) == 0
    assert len(taken) <= spill.WORKERS + 1
    assert list(results) == [item * item for item in range(1, 50)]


def test_a_block_of_no_multi_valued_columns_has_none(tmp_path):
    layout = formats.Layout("y is 1", (formats.Column("c", "categorical"),))
    frame = pl.DataFrame({formats.LABEL: [1.0], "c": ["x"]})
    path = pathlib.Path(tmp_path / "rows")
    path.write_text("x")
    reader = formats.Reader(layout, lambda path: iter([formats.Part(lambda: frame, 1)]))
    found = spill.spill(
        [sources.SourceFile(path, None)], reader, tmp_path / "s", lambda x: x
    )
    block = found.blocks[0].load()
    assert block.many == ()
    assert block.numbers.shape == (0, 1)
    assert block.times.size == 0
