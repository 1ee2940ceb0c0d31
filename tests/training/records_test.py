"""What a run leaves is whole, or as it was before."""

import numpy as np
import pytest

from afm_jax.training import records


def test_logits_are_written_as_float32_in_their_order(tmp_path):
    logits = np.random.default_rng(0).normal(size=9)
    records.write_logits(tmp_path, "test", logits)
    found = np.load(records.logits_file(tmp_path, "test"))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, logits.astype(np.float32))
    assert [path.name for path in (tmp_path / "logits").iterdir()] == ["test.npy"]


def test_a_failed_write_leaves_the_logits_before_it(tmp_path, monkeypatch):
    records.write_logits(tmp_path, "test", np.ones(3))

    def fail(file, array):
        file.write(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(np, "save", fail)
    with pytest.raises(OSError, match="no space"):
        records.write_logits(tmp_path, "test", np.zeros(3))
    found = np.load(records.logits_file(tmp_path, "test"))
    np.testing.assert_array_equal(found, np.ones(3))
