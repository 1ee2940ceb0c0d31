"""Where a result comes from."""

import re
import subprocess

import jax

from experiments import provenance


def test_the_commit_is_that_of_the_code_and_says_whether_files_differ(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(provenance, "_ROOT", tmp_path)
    assert provenance.commit() is None

    def git(*arguments):
        who = ("-c", "user.name=a", "-c", "user.email=a@b.c")
        command = ["git", *who, *arguments]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)

    git("init")
    (tmp_path / "a.py").write_text("")
    git("add", "a.py")
    git("commit", "--message=a")
    git("tag", "v1")
    commit = provenance.commit()
    assert re.fullmatch("[0-9a-f]{40}", commit)
    (tmp_path / "a.py").write_text("b")
    assert provenance.commit() == f"{commit}-dirty"


def test_devices_are_counted_and_versions_are_those_imported():
    assert provenance.device() == f"{len(jax.devices())} x cpu"
    assert provenance.versions()["jax"] == jax.__version__
