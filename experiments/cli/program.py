"""How every program behaves: flags, logs, progress, exit codes, the result as JSON.

A program is a module with its own set of flags and a `main` that returns its result:

    FLAGS = flags.FlagValues()
    _EPOCHS = flags.DEFINE_integer("epochs", 1, "Passes over the data.", flag_values=FLAGS)

    def main() -> dict[str, Any]:
        return {"epochs": _EPOCHS.value}

    if __name__ == "__main__":
        sys.exit(program.run(main, FLAGS))

Its own set, not `flags.FLAGS`: so that two programs with a flag of one name fit into one
process, --help lists the program's flags only, and nothing but them is accepted.
"""

import ast
import contextlib
import json
import logging
import math
import re
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from absl import flags

from afm_jax.errors import InputError, closest, did_you_mean
from experiments.cli import (
    endings,
    failures,
    flagfiles,
    groups,
    signals,
    streams,
)
from experiments.cli.start import INTERRUPTED

SUCCESS, MISTAKE = 0, 2

_LOGGERS = ("afm_jax", "data", "experiments", "__main__")
# What absl says, and Python's int and float.
_REQUIRED = re.compile(
    r"flag --(\w+)=None: Flag --\1 must have a value other than None\."
)
_WORDS = {
    r"invalid literal for int\(\) with base 10:": "expected a whole number, found",
    r"could not convert string to float:": "expected a number, found",
    r"\('Non-boolean argument to boolean flag', (.*)\)": r"expected true or false, found \1",
}
_NO_FLAGFILE = re.compile(
    r"Unable to open flagfile: \[Errno 2\] [^:]*: (?P<path>'.*'|\".*\")$", re.DOTALL
)
_NO_CHOICE = re.compile(
    r"flag --(\w+)=(.*): value should be one of <[^<]*>$", re.DOTALL
)
_LARGEST = 2**63 - 1
_HELP = ("--help", "-help", "-h")
_WIDTH = 80

_log = logging.getLogger(__name__)


class Answer(Exception):
    """The program was asked what there is, not to do its job; its text is the answer."""


@endings.prompt
def run(
    main: Callable[[], Mapping[str, Any] | None],
    flag_values: flags.FlagValues,
    argv: Sequence[str] | None = None,
) -> int:
    """Parses the flags, runs `main` and prints its result.

    The last line of stdout is the result as one JSON object; all else goes to stderr.

    Args:
        main: does the job and returns the result; numbers in it must be finite. None if
            stdout holds what was asked for, and the result stands elsewhere.
        flag_values: the program's flags; set back to their defaults before they are
            parsed. --flagfile=PATH reads flags from a file, --help lists them.
        argv: program name and flags; `sys.argv` if None.

    Returns:
        The exit code: 0 if the job was done; 2 for a mistake in the flags or an
        `InputError`, or for a full disk and the like, which is told in one line on
        stderr; 130 after Ctrl-C. Any other exception is a bug and passes through.
    """
    argv = list(sys.argv if argv is None else argv)
    with streams.patient_stderr(), signals.delivered():
        try:
            return _run(main, flag_values, argv)
        except InputError as mistake:
            return _tell(str(mistake))
        except KeyboardInterrupt:
            print("Interrupted.", file=sys.stderr)
            return INTERRUPTED
        except Exception as error:
            told = failures.explain(error)
            if told is None:
                raise
            return _tell(told)


def _run(
    main: Callable[[], Mapping[str, Any] | None],
    flag_values: flags.FlagValues,
    argv: Sequence[str],
) -> int:
    streams.check_stdout()
    if any(argument in _HELP for argument in argv[1:]):
        with contextlib.suppress(BrokenPipeError):  # `--help | head` has seen enough.
            streams.tell(_help(main, flag_values))
        return SUCCESS
    parse(flag_values, argv)
    try:
        with _logs_on_stderr():
            result = main()
    except Answer as answer:
        with contextlib.suppress(BrokenPipeError):
            streams.tell(str(answer))
        return SUCCESS
    if result is None:
        return SUCCESS
    text = json.dumps(result, allow_nan=False)
    try:
        streams.tell(text)
    except OSError as error:
        raise InputError(
            f"The job was done, but stdout takes no result: {error.strerror}."
        ) from None
    return SUCCESS


def _tell(mistake: str) -> int:
    print(" ".join(mistake.split()), file=sys.stderr)
    return MISTAKE


def parse(flag_values: flags.FlagValues, argv: Sequence[str]) -> None:
    """Sets the flags to their defaults, then from `argv`, the program's name first.

    Raises:
        InputError: an unknown flag, a value that the flag does not accept, or an
            argument that is not a flag.
    """
    for name in flag_values:
        flag_values[name].unparse()
    try:
        extra = flag_values(argv)[1:]
    except flags.UnrecognizedFlagError as unknown:
        close = closest(unknown.flagname, flag_values)
        hint = f"did you mean --{close}?" if close else "--help lists the flags."
        raise InputError(f"Unknown flag --{unknown.flagname}; {hint}") from None
    except UnicodeDecodeError:
        raise InputError("A --flagfile is not UTF-8 text.") from None
    except flags.Error as error:
        raise InputError(_plain(str(error), flag_values)) from None
    if extra:
        raise InputError(f"Unexpected {extra[0]!r}; flags are written --name=value.")
    for name in flag_values:
        _check(flag_values, name)


def set_flag(flag_values: flags.FlagValues, name: str, value: Any) -> None:
    """Sets one flag, as if it were given.

    Raises:
        InputError: the flag does not accept the value.
    """
    flag_values[name].unparse()
    try:
        flag_values[name].parse(value)
    except flags.Error as error:
        raise InputError(_plain(str(error), flag_values)) from None
    _check(flag_values, name)


def _check(flag_values: flags.FlagValues, name: str) -> None:
    """Raises InputError if the flag's value is one that no program can work with."""
    value = flag_values[name].value
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"--{name}={value}: expected a finite number.")
    if isinstance(value, int) and abs(value) > _LARGEST:
        raise InputError(f"--{name}={value}: expected at most {_LARGEST:,}.")
    if value == "":
        raise InputError(f"--{name} is empty; expected: {flag_values[name].help}")
    for text in value if isinstance(value, list) else [value]:
        if isinstance(text, str) and not _is_text(text):
            raise InputError(f"--{name}={text!r} is not UTF-8 text.")


def _is_text(text: str) -> bool:
    try:
        return b"\0" not in text.encode("utf-8")
    except UnicodeEncodeError:  # bytes of the command line that are not UTF-8
        return False


def _plain(text: str, flag_values: flags.FlagValues) -> str:
    """What absl says of flags in the words of a program."""
    text = _REQUIRED.sub(
        lambda flag: f"--{flag[1]} is required: {flag_values[flag[1]].help}",
        text.removeprefix("ERROR:: "),
    )
    no_file = _NO_FLAGFILE.match(text)
    if no_file is not None:
        return f"--flagfile: {flagfiles.missing(ast.literal_eval(no_file['path']))}"
    for pattern, told in _WORDS.items():
        text = re.sub(pattern, told, text)
    choice = _NO_CHOICE.match(text)
    if choice is not None:
        parser = flag_values[choice[1]].parser
        text += f".{did_you_mean(choice[2], getattr(parser, 'enum_values', ()))}"
    return text


def _help(main: Callable[..., Any], flag_values: flags.FlagValues) -> str:
    about = getattr(sys.modules.get(main.__module__), "__doc__", None) or ""
    lines = [about.strip()]
    for heading, found in groups.by_heading(flag_values).items():
        lines += ["", f"{heading}:"]
        for flag in found:
            lines += _wrapped(f"  --{flag.name}: {_help_of(flag)}")
    lines += ["", *_wrapped("  --flagfile: File of further flags, one a line.")]
    return "\n".join(lines)


def _help_of(flag: flags.Flag) -> str:
    """The help text, the choices and the default of a flag, without what absl adds."""
    text = flag.help.partition(";\n")[0]
    notes = []
    choices = getattr(flag.parser, "enum_values", None)
    if choices:
        text = text.removeprefix(f"<{'|'.join(choices)}>: ")
        notes.append(f"one of {', '.join(choices)}")
    if flag.default not in (None, []):
        notes.append(f"default: {flag.default}")
    return f"{text} ({'; '.join(notes)})" if notes else text


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, subsequent_indent=" " * 6, break_on_hyphens=False
    )


@contextlib.contextmanager
def _logs_on_stderr() -> Iterator[None]:
    """Sends warnings of all loggers, our own from INFO up, and Python's to stderr."""
    handler = _ToStderr()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    handlers, logging.root.handlers = logging.root.handlers, [handler]
    for logger in loggers:
        logger.setLevel(logging.INFO)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _log_warning
            yield
    finally:
        logging.root.handlers = handlers
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


class _ToStderr(logging.Handler):
    """Writes to what stderr is at the moment: a progress bar puts itself in its place."""

    def emit(self, record: logging.LogRecord) -> None:
        print(self.format(record), file=sys.stderr)


def _log_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """A warning of Python, which libraries give in several lines, as one line."""
    _log.warning("%s", " ".join(str(message).split()))
