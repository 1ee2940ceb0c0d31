"""Every file of a run has its name in one place, and is whole or as it was before."""

import numpy as np
import pytest

from afm_jax.training.run.folder import Run


def test_logits_are_written_as_float32_in_their_order(tmp_path):
    logits = np.random.default_rng(0).normal(size=9)
    Run(tmp_path).write_logits("test", logits)
    found = np.load(Run(tmp_path).logits("test"))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, logits.astype(np.float32))
    assert [path.name for path in (tmp_path / "logits").iterdir()] == ["test.npy"]


def test_a_failed_write_leaves_the_logits_before_it(tmp_path, monkeypatch):
    Run(tmp_path).write_logits("test", np.ones(3))

    def fail(file, array):
        file.write(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(np, "save", fail)
    with pytest.raises(OSError, match="no space"):
        Run(tmp_path).write_logits("test", np.zeros(3))
    found = np.load(Run(tmp_path).logits("test"))
    np.testing.assert_array_equal(found, np.ones(3))
