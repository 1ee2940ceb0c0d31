"""The benchmark of exported folders asks the reader and the server for each row."""

import exported_folders
import pytest

pytest.importorskip("polars", reason="needs the extra 'data'")

from experiments.benchmark import exported


def test_each_folder_is_timed_by_its_reader_and_over_http(tmp_path):
    exported_folders.export_small(tmp_path)
    rows = [exported_folders.ROW] * 20
    # Without jax, the server starts soon.
    (case,) = exported.run({"fm": tmp_path / "numpy"}, rows, windows=2)
    assert (case["model"], case["rows"]) == ("fm", 1)
    for name in "exported", "served":
        assert 0 < case[f"{name}_p50_ms"] <= case[f"{name}_p99_ms"]
    assert 0 < case["exported_least_p50_ms"] <= case["exported_p50_ms"]
    assert case["served_per_second"] > 0
