"""What both sides are given, and what is told about them."""

import json
import sys

import numpy as np
import pytest

from afm_jax import models
from afm_jax.errors import InputError
from experiments import host_memory
from experiments.benchmark import step, timing, workload
from experiments.benchmark.peers import environment, handover, suite

QUICK = {"turns": timing.Turns(windows=3, seconds=0.001)}


@pytest.mark.parametrize(
    ("vocab_size", "used"), [(520, 520), (1003, 520), (5207, 1003)]
)
def test_local_ids_and_field_sizes_give_our_rows(vocab_size, used, tmp_path):
    handover.write(
        tmp_path / "rows.npz", suite._rows("train", 2, vocab_size, used=used)
    )
    given = handover.read(tmp_path / "rows.npz")
    ours = workload.random_rows(2 * step.LOADER_BATCHES, vocab_size, used=used)
    np.testing.assert_array_equal(given.global_ids(), ours.ids)
    assert given.global_ids().dtype == np.int32
    np.testing.assert_array_equal(given.dense, ours.dense)
    np.testing.assert_array_equal(given.labels, ours.labels)
    assert given.field_sizes.sum() == vocab_size
    assert (given.ids >= 0).all()
    assert (given.ids < given.field_sizes).all()


def test_ours_takes_the_settings_of_every_case():
    for library in suite._SETTINGS.values():
        for name, settings in library.items():
            through_json = json.loads(json.dumps(settings))
            models.make(name, vocab_size=26, **through_json)


def test_a_model_that_no_peer_has_is_told(tmp_path):
    with pytest.raises(InputError, match="No peer has the model 'ffm'; choose from"):
        suite.run(
            model_names=["ffm"],
            batch_sizes=[8],
            vocab_sizes=[52],
            folder=tmp_path,
        )


def test_peers_that_cannot_start_are_told(tmp_path, monkeypatch):
    monkeypatch.setenv(host_memory.SWITCH, "0")
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho no torch here >&2\nexit 3\n")
    python.chmod(0o755)
    monkeypatch.setattr(environment, "make", lambda folder: str(python))
    with pytest.raises(InputError, match=r"theirs ended with 3: no torch here"):
        suite.run(
            model_names=["fm"],
            batch_sizes=[8],
            vocab_sizes=[52],
            folder=tmp_path,
            **QUICK,
        )


def test_all_take_turns_and_ratios_are_of_speeds(tmp_path, monkeypatch):
    """Against a peer that does nothing, so that ours is slower."""
    monkeypatch.setenv(host_memory.SWITCH, "0")
    python = tmp_path / "python"
    python.write_text(
        f"#!/bin/sh\nexec {sys.executable} -c 'import json, sys\n"
        "from experiments.benchmark.peers import protocol\n"
        'task = json.loads(sys.argv[-1])["task"]\n'
        'protocol.serve(lambda: {task: lambda count: None})\' "$@"\n'
    )
    python.chmod(0o755)
    monkeypatch.setattr(environment, "make", lambda folder: str(python))
    monkeypatch.setattr(suite.shutil, "which", lambda name: None)
    cases = suite.run(
        model_names=["fm"],
        batch_sizes=[8],
        vocab_sizes=[52],
        sources=["memory", "loader"],
        folder=tmp_path,
        **QUICK,
    )
    assert [(case["what"], case["peer"], case["source"]) for case in cases] == [
        *(
            ("train", peer, source)
            for peer in ("deepctr", "deepctr, dense", "deepctr, sparse")
            for source in ("memory", "loader")
        ),
        ("predict", "deepctr", None),
    ]
    for case in cases:
        assert case["ours"]["median"] < case["peers"]["median"]
        assert case["ratio"]["median"] < 1
        assert case["our_rss_mb"] > case["peer_rss_mb"] > 0
        assert case["rss_ratio"] > 1
