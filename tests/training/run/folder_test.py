"""Every file of a run has its name in one place, and is whole or as it was before."""

import ast
import pathlib

import numpy as np
import pytest

import afm_jax
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


def test_no_other_file_of_the_library_names_a_file_of_a_run():
    run = Run(pathlib.Path("run"))
    names = {path.name for path in run.files}
    assert names >= {"config.json", "schema.json", "result.json", "metrics.jsonl"}
    root = pathlib.Path(afm_jax.__file__).parent
    naming = {
        str(path.relative_to(root))
        for folder in ("training", "models", "modules", "ops")
        for path in (root / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value in names
    }
    assert naming == {"training/run/folder.py"}


def test_logits_of_other_rows_or_half_a_file_are_none(tmp_path):
    run = Run(tmp_path)
    assert run.read_logits("test", 3) is None
    run.write_logits("test", np.arange(3.0))
    np.testing.assert_array_equal(run.read_logits("test", 3), [0, 1, 2])
    assert run.read_logits("test", 4) is None
    path = run.logits("test")
    path.write_bytes(path.read_bytes()[:20])
    assert run.read_logits("test", 3) is None


def test_a_run_is_a_config_or_a_checkpoint(tmp_path):
    run = Run(tmp_path)
    assert not run.exists()
    (run.checkpoints / "7").mkdir(parents=True)
    assert run.exists()
    assert run.steps() == [7]
