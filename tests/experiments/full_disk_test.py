"""A disk that is full while a run writes; preparation is in tests/data/prepare_test.py."""

import pytest

pytest.importorskip("tensorflow_datasets", reason="needs the extra 'data'")

from data import prepare, program
from experiments import train


# Full at the first file, in the first checkpoint.
@pytest.mark.parametrize("free", [0, 40_000])
def test_training_ends_with_one_line_and_goes_on_once_there_is_space(
    tmp_path, small_disk, capsys, free
):
    data = f"--data_dir={tmp_path}"
    flags = ["prepare", "--dataset=synthetic", data, "--rows=600,200"]
    assert program.run(prepare.main, prepare.FLAGS, flags) == 0
    flags = ["train", "--model=lr", data, f"--workdir={small_disk}/run"]
    flags += ["--epochs=2", "--batch_size=128"]
    other = small_disk / "other"
    other.write_bytes(bytes(2**20 - free))
    capsys.readouterr()
    assert program.run(train.main, train.FLAGS, flags) == 2
    out, err = capsys.readouterr()
    assert "No space left on device; make some, or write elsewhere." in err
    assert err.count("No space left") == 1
    assert "Traceback" not in err
    assert not out
    other.unlink()
    again = ["--resume"] if (small_disk / "run" / "config.json").exists() else []
    assert bool(again) == bool(free)
    assert program.run(train.main, train.FLAGS, [*flags, *again]) == 0
