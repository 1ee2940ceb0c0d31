"""The peers' environment, with requirements that need no network."""

import pytest

from afm_jax.errors import InputError
from experiments.benchmark.peers import environment


def test_it_is_made_once_for_its_requirements(tmp_path):
    folder, requirements = tmp_path / "peers", tmp_path / "requirements.txt"
    requirements.write_text("pip\n")
    python = environment.make(folder, requirements)
    assert python == str(folder / "bin" / "python")
    (folder / "mark").touch()
    environment.make(folder, requirements)
    assert (folder / "mark").exists()
    requirements.write_text("pip>=1\n")
    environment.make(folder, requirements)
    assert not (folder / "mark").exists()


def test_what_pip_says_last_is_told_and_it_is_not_taken_for_made(tmp_path):
    folder, requirements = tmp_path / "peers", tmp_path / "requirements.txt"
    requirements.write_text("--no-index\nno_such_package==1\n")
    for _ in range(2):
        with pytest.raises(InputError, match=r"cannot be made: .*no_such_package"):
            environment.make(folder, requirements)


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(InputError, match="is no virtual environment"):
        environment.make(tmp_path)
    assert (tmp_path / "thesis.tex").exists()


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be made"):
        environment.make(tmp_path / "file" / "peers")
