"""A user's own model or loss, which a flag names as `my_file.py:Name`.

Such a file runs only if a flag of the command names it. What the folder of a run says is
compared with the flag, and never run.
"""

import hashlib
import importlib.util
import pathlib
import re
import sys
from collections.abc import Mapping
from typing import Any

from afm_jax.errors import InputError, did_you_mean

FLAGS = ("model", "loss")
"""The flags that may name own code."""

_OWN = re.compile(r"(.+\.py):(\w+)")


def is_own(text: str) -> bool:
    """Whether a flag names a file of code, as `my_file.py:Name`."""
    return _OWN.fullmatch(text) is not None


def checksum_name(flag: str) -> str:
    """The key of a config that holds the SHA-256 of the file that a flag names."""
    return f"{flag}_sha256"


def checksums(flag_values: Mapping[str, Any]) -> dict[str, str]:
    """The SHA-256 of each file that these flags name, by its key in a config.

    Raises:
        InputError: a file cannot be read.
    """
    own = {flag: flag_values[flag] for flag in FLAGS if is_own(flag_values[flag])}
    return {checksum_name(flag): _sha256(text) for flag, text in own.items()}


def load(flag: str, text: str) -> Any:
    """What a flag names: the object in a file that is run, or the text, if it is a name.

    Raises:
        InputError: the file cannot be read or run, or has no such name; or a file is
            named, but nothing in it.
    """
    found = _OWN.fullmatch(text)
    if found is None:
        if text.endswith(".py"):
            raise InputError(
                f"--{flag}={text}: which {flag} of the file? Give its name too, such as {text}:Name."
            )
        return text
    path, name = pathlib.Path(found[1]), found[2]
    _read(flag, path)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses, of which Flax modules are a kind, look for their module here.
    before = sys.modules.get(path.stem)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        reason = str(error).strip().split("\n")[0]
        raise InputError(
            f"--{flag}={text}: the file ended in {type(error).__name__}: {reason}"
        ) from error
    finally:
        if before is not None:
            sys.modules[path.stem] = before
    if not hasattr(module, name):
        there = [each for each in vars(module) if not each.startswith("_")]
        raise InputError(
            f"--{flag}={text}: the file has no {name!r}.{did_you_mean(name, there)}"
        )
    return getattr(module, name)


def of_run(flag: str, config: Mapping[str, Any], given: str | None) -> Any:
    """The own model or loss that a run was trained with; None if it is not own code.

    Args:
        flag: one of `FLAGS`.
        config: of the run.
        given: what the flag of this command says; None if it is not given.

    Raises:
        InputError: the run was trained with own code and the flag does not name it, or
            names a file of other content; or it names anything else.
    """
    check(flag, config, given)
    return load(flag, given) if given is not None and is_own(given) else None


def check(flag: str, config: Mapping[str, Any], given: str | None) -> None:
    """Raises InputError as `of_run`, and runs nothing."""
    saved = config[flag]
    if not is_own(saved):
        if given not in (None, saved):
            raise _another(flag, saved, given)
        return
    if given is None:
        raise InputError(
            f"The run was trained with --{flag}={saved}, a file of code that runs only if you name it; add --{flag}={saved}."
        )
    if not is_own(given) or given.rpartition(":")[2] != saved.rpartition(":")[2]:
        raise _another(flag, saved, given)
    if _sha256(given) != config.get(checksum_name(flag)):
        raise InputError(
            f"--{flag}={given}: this is not the file that the run was trained with, {saved}; its SHA-256 is another. Name the file as it was then."
        )


def _another(flag: str, saved: str, given: str) -> InputError:
    return InputError(
        f"The run was trained with --{flag}={saved}, found --{flag}={given}; leave it out, or name another --workdir."
    )


def _sha256(text: str) -> str:
    found = _OWN.fullmatch(text)
    assert found is not None
    return hashlib.sha256(_read("model", pathlib.Path(found[1]))).hexdigest()


def _read(flag: str, path: pathlib.Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"--{flag}: {path}: {error.strerror}.") from None
