import json
import logging
import re
import warnings

import pytest
from absl import flags

from afm_jax.errors import InputError
from experiments.cli import groups, program

FLAGS = flags.FlagValues()
_EPOCHS = flags.DEFINE_integer("epochs", 3, "Passes over the data.", flag_values=FLAGS)
_LOSS = flags.DEFINE_enum("loss", None, ["bce", "squared"], "Loss.", flag_values=FLAGS)
flags.mark_flag_as_required("loss", flag_values=FLAGS)
flags.DEFINE_float("rate", 0.5, "Learning rate.", flag_values=FLAGS)
flags.DEFINE_boolean("draw", True, "Whether to draw.", flag_values=FLAGS)
flags.DEFINE_string("out", None, "Folder of results.", flag_values=FLAGS)


def main():
    """Reports the flags."""
    print("chatter")
    logging.getLogger("data.x").info("working")
    return {"epochs": _EPOCHS.value, "loss": _LOSS.value}


def run(*arguments, job=main):
    return program.run(job, FLAGS, ["prog", *arguments])


def test_the_last_line_of_stdout_is_the_result_and_logs_go_to_stderr(capsys):
    assert run("--loss=bce", "--epochs=5") == 0
    out, err = capsys.readouterr()
    assert json.loads(out.splitlines()[-1]) == {"epochs": 5, "loss": "bce"}
    assert "working" in err
    assert "working" not in out


def test_a_warning_of_python_is_one_log_line(capsys):
    def job():
        warnings.simplefilter("default")
        warnings.warn("the cache\ncannot be written", stacklevel=1)
        return {}

    assert run("--loss=bce", job=job) == 0
    err = capsys.readouterr().err
    assert re.fullmatch(r"\d\d:\d\d:\d\d the cache cannot be written\n", err)


def test_flags_of_an_earlier_run_are_forgotten(capsys):
    run("--loss=bce", "--epochs=5")
    run("--loss=squared")
    last = capsys.readouterr().out.splitlines()[-1]
    assert json.loads(last) == {"epochs": 3, "loss": "squared"}


def test_a_flagfile_gives_flags_and_later_flags_win(tmp_path, capsys):
    flagfile = tmp_path / "x.flags"
    flagfile.write_text("# a comment\n--loss=squared\n--epochs=9\n")
    assert run(f"--flagfile={flagfile}", "--epochs=2") == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert json.loads(last) == {"epochs": 2, "loss": "squared"}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--loss=bce", "--epoch=5"], "Unknown flag --epoch; did you mean --epochs?"),
        (["--loss=bce", "--zzz"], "Unknown flag --zzz; --help lists the flags."),
        (["--loss=bce", "--epochs=many"], "expected a whole number, found 'many'"),
        (["--loss=bce", "--rate=high"], "expected a number, found 'high'"),
        (["--loss=hinge"], "<bce|squared>"),
        (["--loss=BCE"], "should be one of <bce|squared>. Did you mean 'bce'?"),
        (["--loss=bce", "--Epochs=5"], "did you mean --epochs?"),
        (["--loss=bce", "--ep=5"], "Unknown flag --ep; --help lists the flags."),
        (["--loss=bce", f"--epochs={10**30}"], "expected at most 9,223,372,036,"),
        (
            ["--loss=bce", "--flagfile={here}/zero.flags"],
            "--out='a\\x00b' is not UTF-8 text.",
        ),
        (["--loss=bce", "--out=a\udcff"], "--out='a\\udcff' is not UTF-8 text."),
        (["--loss=bce", "--flagfile={here}"], "Is a directory"),
        (["--loss=bce", "--draw=maybe"], "expected true or false, found 'maybe'"),
        (["--epochs=5"], "--loss is required: <bce|squared>: Loss."),
        (
            ["--loss=bce", "train"],
            "Unexpected 'train'; flags are written --name=value.",
        ),
        (["--flagfile=/nowhere/x.flags"], "--flagfile: there is no file /nowhere/x.f"),
        (
            ["--flagfile=experiments/flagfiles/frappe_fm.flags"],
            "is experiments/presets/frappe/frappe_fm.flags.",
        ),
        (["--flagfile={here}/utf16.flags"], "A --flagfile is not UTF-8 text."),
        (["--loss=bce", "--rate=nan"], "--rate=nan: expected a finite number."),
        (["--loss=bce", "--rate=-inf"], "--rate=-inf: expected a finite number."),
        (["--loss=bce", "--out="], "--out is empty; expected: Folder of results."),
    ],
)
def test_a_mistake_in_the_flags_is_one_line_and_exit_code_2(
    arguments, told, tmp_path, capsys
):
    (tmp_path / "zero.flags").write_bytes(b"--out=a\0b\n")
    (tmp_path / "utf16.flags").write_text("--loss=bce", encoding="utf-16")
    assert run(*(argument.format(here=tmp_path) for argument in arguments)) == 2
    out, err = capsys.readouterr()
    assert told in err
    assert len(err.splitlines()) == 1
    assert not err.startswith("ERROR")
    assert not out


def test_an_input_error_is_one_line_and_exit_code_2(capsys):
    def job():
        raise InputError("train.txt line 7: 38 columns,\nexpected 40.")

    assert run("--loss=bce", job=job) == 2
    assert capsys.readouterr().err == "train.txt line 7: 38 columns, expected 40.\n"


def test_a_bug_shows_its_traceback():
    def job():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run("--loss=bce", job=job)


def test_an_interrupt_is_exit_code_130(capsys):
    def job():
        raise KeyboardInterrupt

    assert run("--loss=bce", job=job) == 130
    assert capsys.readouterr().err == "Interrupted.\n"


def test_help_lists_the_flags_of_the_program_only(capsys):
    assert run("--help") == 0
    out, err = capsys.readouterr()
    assert "--epochs: Passes over the data." in out
    assert "(default: 3)" in out
    assert "--loss: Loss. (one of bce, squared)" in out
    assert "verbosity" not in out
    assert not err


def test_help_shows_flags_under_their_headings_in_the_order_of_their_definition(
    capsys,
):
    flag_values = flags.FlagValues()
    data, model = (groups.Group(flag_values, name) for name in ("Data", "Model"))
    model.string("model", "afm", "Name of the model.")
    data.strings("set", [], "Setting.")
    data.string("file", None, "A long sentence. " * 10)
    assert program.run(main, flag_values, ["prog", "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    told = [line for line in lines if line.startswith(("  --", "Data", "Model"))]
    assert told[:4] == [
        "Model:",
        "  --model: Name of the model. (default: afm)",
        "Data:",
        "  --set: Setting.",
    ]


def test_an_answer_is_told_in_place_of_a_result(capsys):
    def job():
        raise program.Answer("There is nothing to set.")

    assert run("--loss=bce", job=job) == 0
    assert capsys.readouterr().out == "There is nothing to set.\n"


def test_a_result_that_json_cannot_say_is_a_bug():
    with pytest.raises(ValueError, match="JSON"):
        run("--loss=bce", job=lambda: {"auc": float("nan")})
