"""What a benchmark prints."""

from experiments.benchmark import report


def test_a_table_has_a_column_for_every_key_and_cells_to_read():
    spread = {"median": 1234.5, "low": 0.12345, "high": 2.0}
    text = report.table([{"model": "fm", "rows": 4096}, {"rows": None, "ms": spread}])
    assert [line.split() for line in text.splitlines()] == [
        ["model", "rows", "ms"],
        ["fm", "4,096", "-"],
        ["-", "-", "1,234", "(0.123-2)"],
    ]
    assert len({len(line) for line in text.splitlines()}) == 1


def test_the_machine_is_described():
    found = report.machine()
    assert found["cores"] >= 1
    assert len(found["load"]) == 3
    assert {"jax", "jaxlib", "numpy", "processor", "device"} <= set(found)
    assert report.peak_rss_mb() > 10
