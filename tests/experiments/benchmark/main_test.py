"""Every suite at tiny sizes: a table, and a result of the right form."""

import json

import pytest

from data import prepare
from experiments import host_memory, train
from experiments.benchmark import __main__ as benchmark
from experiments.benchmark import processes
from experiments.cli import program

QUICK = ("--windows=3", "--seconds=0.001")


@pytest.fixture(autouse=True)
def _allocator(monkeypatch):
    monkeypatch.setenv(host_memory.SWITCH, "0")


def run(capsys, *arguments):
    code = program.run(benchmark.main, benchmark.FLAGS, ["benchmark", *arguments])
    out, err = capsys.readouterr()
    assert code == 0, err
    result = json.loads(out.splitlines()[-1])
    assert result["machine"]["load"]
    assert result["peak_rss_mb"] > 0
    assert result["keeps_freed_memory"] is False
    assert all(name in err for name in result["cases"][0])
    return result["cases"]


def assert_spread(value):
    assert 0 < value["low"] <= value["median"] <= value["high"]


def test_step(capsys):
    cases = run(
        capsys,
        "--suite=step",
        "--models=fm",
        "--batch_sizes=8",
        *QUICK,
        "--vocab_sizes=52,520",
        "--table_updates=rows,dense",
        "--sources=memory,loader",
        "--optimizer=sgd",
    )
    assert len(cases) == 2 * 2 * 2
    assert {case["distinct"] for case in cases} == {cases[0]["distinct"]}
    for case in cases:
        for name in ("ms", "processor_ms", "of_smallest", "of_memory"):
            assert_spread(case[name])
        if case["vocab_size"] == 52:
            assert case["of_smallest"]["median"] == 1
        if case["source"] == "memory":
            assert case["of_memory"]["median"] == 1
        assert case["first_step_s"] > 0


def test_attention(capsys):
    cases = run(
        capsys,
        "--suite=attention",
        "--implementations=reference,blocked",
        *QUICK,
        "--batch_sizes=8",
        "--nums_fields=4",
        "--embedding_dims=3",
        "--device=cpu",
    )
    assert [(case["what"], case["implementation"]) for case in cases] == [
        ("value", "reference"),
        ("value", "blocked"),
        ("gradient", "reference"),
        ("gradient", "blocked"),
    ]
    for case in cases:
        for name in ("ms", "processor_ms", "of_first"):
            assert_spread(case[name])
        assert case["temp_mb"] > 0
        assert case["gflops"] > 0


def test_loader(capsys):
    cases = run(capsys, "--suite=loader", "--rows=1000", "--batch_sizes=64", *QUICK)
    assert [case["order"] for case in cases] == ["in order", "shuffled"]
    for case in cases:
        assert_spread(case["rows_per_second"])
        assert_spread(case["of_in_order"])


def test_evaluation(capsys):
    cases = run(
        capsys,
        "--suite=evaluation",
        "--models=fm",
        "--set=embedding_dim=4",
        "--batch_sizes=8,16",
        "--vocab_sizes=100",
        "--rows=1000",
        *QUICK,
    )
    assert [(case["what"], case["rows"]) for case in cases] == [
        ("auc", 1000),
        ("fm", 8),
        ("fm", 16),
    ]
    for case in cases:
        assert_spread(case["examples_per_second"])


def test_prepare(capsys):
    cases = run(capsys, "--suite=prepare", "--rows=300,600", "--windows=1")
    assert [case["rows"] for case in cases] == [300, 600]
    for case in cases:
        assert_spread(case["rows_per_second"])
        assert case["peak_rss_mb"] > 50
    assert cases[0]["rss_of_smallest"] == 1


def test_epoch(capsys):
    flags = ("--model=lr", "--batch_size=8192")
    (case,) = run(
        capsys,
        "--suite=epoch",
        "--epochs=2",
        *(f"--train_flag={flag}" for flag in flags),
    )
    assert (case["model"], case["epochs"]) == ("lr", 2)
    assert_spread(case["epoch_s"])
    assert case["first_epoch_s"] > case["epoch_s"]["median"]
    assert 0.5 < case["validation_auc"] < 1


def test_memory(capsys, monkeypatch):
    """Of processes that are not started: 100 MB without a state, 3 times the state more."""
    params = {"1": 1_000, "64": 50 << 20}
    states = {"1": 0, "64": 600}
    known = {"data.prepare": prepare.FLAGS, "experiments.train": train.FLAGS}
    resumed = []

    def pretend(module, *arguments):
        flags = known[module]
        program.parse(flags, [module, *arguments])
        if module == "data.prepare":
            return processes.Finished("{}", 1.0, 1_000)
        width = flags["set"].value[0].partition("=")[2]
        resumed.append(flags["resume"].value)
        peak = 100 + (3 - resumed[-1]) * states[width]
        return processes.Finished(json.dumps({"params": params[width]}), 1.0, peak)

    monkeypatch.setattr(processes, "run", pretend)
    (case,) = run(
        capsys, "--suite=memory", "--vocab_sizes=26000", "--embedding_dims=64"
    )
    assert resumed == [False, True] * 2
    assert case == {
        **{"embedding_dim": 64, "params": 50 << 20, "state_mb": 600, "base_mb": 100},
        **{"peak_rss_mb": 1_900, "of_state": 3.0},
        **{"resumed_peak_rss_mb": 1_300, "resumed_of_state": 2.0},
    }


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "--suite"),
        (("--suite=step", "--models=fmm"), "Unknown model 'fmm'"),
        (("--suite=step", "--sources=disk"), "--sources=disk: choose from"),
        (("--suite=step", "--batch_sizes=many"), "--batch_sizes=many: expected"),
        (
            ("--suite=step", "--vocab_sizes=25"),
            "25: expected whole numbers, 26 or more",
        ),
        (("--suite=step", "--windows=0"), "--windows"),
        (
            ("--suite=loader", "--rows=9,10"),
            "--suite=loader takes one number for --rows",
        ),
        (("--suite=step", "--set=embeding_dim=3"), "'embeding_dim'"),
        (
            ("--suite=attention", "--implementations=fast"),
            "--implementations=fast: choose",
        ),
        (("--suite=epoch", "--train_flag=--modl=fm"), "did you mean --model?"),
    ],
)
def test_a_mistake_is_told_and_exit_code_2(arguments, words, capsys):
    assert program.run(benchmark.main, benchmark.FLAGS, ["benchmark", *arguments]) == 2
    out, err = capsys.readouterr()
    assert words in err
    assert not out
