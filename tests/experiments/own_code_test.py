"""A user's own model and loss in the programs; a run's folder runs none by itself."""

import json
import textwrap

import programs
import pytest

from afm_jax.errors import InputError
from afm_jax.training.run.folder import Run
from experiments import evaluate, own_code, pairs, train

SHORT = ("--batch_size=256", "--epochs=2")
CODE = """
    import pathlib

    import jax.numpy as jnp
    from flax import linen as nn

    from afm_jax.modules import embedding

    pathlib.Path(__file__).with_suffix(".ran").touch()


    class Mean(nn.Module):
        vocab_size: int
        slot_fields: tuple[int, ...] | None = None
        width: int = 4
        init_stddev: float = 0.1

        @nn.compact
        def __call__(self, features, *, train=False):
            vectors = embedding.field_vectors(self, self.width, features).mean(axis=1)
            return nn.Dense(1, name="out")(vectors)[:, 0]


    def hinge(logits, labels):
        return jnp.maximum(0.0, 1.0 - (2 * labels - 1) * logits)
"""


@pytest.fixture(scope="module")
def code(tmp_path_factory):
    path = tmp_path_factory.mktemp("code") / "mine.py"
    path.write_text(textwrap.dedent(CODE))
    return path


@pytest.fixture(scope="module")
def own_run(code):
    workdir = code.parent / "run"
    flags = (f"--model={code}:Mean", f"--loss={code}:hinge", "--set=width=3")
    return workdir, programs.run(train, *flags, *SHORT, f"--workdir={workdir}")


def test_a_model_and_a_loss_in_a_file_train_and_evaluate(own_run, code):
    workdir, result = own_run
    assert result["params"] > 0
    config = json.loads(Run(workdir).config.read_text())
    assert config["model_sha256"] == config["loss_sha256"]
    flags = (f"--model={code}:Mean", f"--loss={code}:hinge")
    again = programs.run(evaluate, f"--workdir={workdir}", *flags)
    assert again["metrics"]["auc"] == pytest.approx(result["test"]["auc"], abs=1e-6)


def refused(program, workdir, *flags):
    with pytest.raises(InputError) as found:
        programs.run(program, f"--workdir={workdir}", *flags)
    assert "\n" not in str(found.value)
    return str(found.value)


def test_the_file_runs_only_if_the_command_names_it(own_run, code):
    workdir, _ = own_run
    ran = code.with_suffix(".ran")
    ran.unlink()
    both = (f"--model={code}:Mean", f"--loss={code}:hinge")
    assert f"add --loss={code}:hinge" in refused(evaluate, workdir)
    assert f"add --model={code}:Mean" in refused(pairs, workdir)
    assert f"add --model={code}:Mean" in refused(train, workdir, "--resume")
    assert f"add --loss={code}:hinge" in refused(train, workdir, "--resume", both[0])
    assert not ran.exists()
    assert f"add --model={code}:Mean" in refused(evaluate, workdir, both[1])
    goes_on = (f"--workdir={workdir}", "--resume", "--epochs=3", *both)
    assert programs.run(train, *goes_on)["epochs"] == 3


def test_a_file_that_changed_is_another(own_run, code):
    workdir, _ = own_run
    other = code.with_name("other.py")
    other.write_text(code.read_text() + "\n")
    flags = (f"--model={other}:Mean", f"--loss={code}:hinge")
    assert "its SHA-256 is another" in refused(evaluate, workdir, *flags)
    assert not other.with_suffix(".ran").exists()
    assert "found --model=fm" in refused(evaluate, workdir, "--model=fm", flags[1])


def test_a_hostile_config_runs_nothing(tmp_path, own_run, code):
    workdir, _ = own_run
    config = json.loads(Run(workdir).config.read_text())
    ran = code.with_suffix(".ran")
    ran.unlink(missing_ok=True)
    hostile = Run(tmp_path / "run")
    hostile.path.mkdir()
    for name in ("os:system", f"{code}:Mean", "mine", "afm_jax.models.fm", "../fm"):
        for key in own_code.FLAGS:
            plain = config | {"model": "fm", "set": [], "loss": "focal", key: name}
            hostile.config.write_text(json.dumps(plain))
            for program, flags in (evaluate, ()), (train, ("--resume",)):
                refused(program, hostile.path, *flags)
    assert not ran.exists()


WRONG = {
    "nowhere.py: No such file": "nowhere.py:Model",
    "the file has no 'Meen'. Did you mean 'Mean'?": "{code}:Meen",
    "the file ended in ZeroDivisionError: division by zero": "{broken}:Model",
    "which model of the file? Give its name too, such as mine.py:Name": "mine.py",
}


@pytest.mark.parametrize("message", WRONG)
def test_files_that_cannot_be_used_are_told_in_one_line(message, code, tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text("1 / 0\n")
    given = WRONG[message].format(code=code, broken=broken)
    told = refused(train, tmp_path / "run", f"--model={given}")
    assert message in told
