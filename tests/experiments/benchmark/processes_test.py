"""Programs watched from outside."""

import pytest

from afm_jax.errors import InputError
from experiments.benchmark import processes


def test_the_last_line_the_time_and_the_memory_of_a_program(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "grows.py").write_text(
        "import sys, time\n"
        "block = b'x' * (200 << 20)\n"
        "print('chatter'); print('told', file=sys.stderr)\n"
        "time.sleep(0.5); print(sys.argv[1])\n"
    )
    lines = []
    done = processes.run("grows", "result", on_stderr=lines.append)
    assert done.result.strip() == "result"
    assert lines == ["told\n"]
    assert done.seconds > 0.5
    assert 200 <= done.peak_rss_mb < 300


def test_a_program_that_fails_is_told_with_its_last_words():
    with pytest.raises(InputError, match=r"ended with 2: .*--data_dir"):
        processes.run("data.prepare")
