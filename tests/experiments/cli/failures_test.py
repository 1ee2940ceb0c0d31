import errno
import os

import pytest

from experiments.cli import failures, program

FULL = "No space left on device; make some, or write elsewhere."


def os_error(number, *path):
    return OSError(number, os.strerror(number), *path)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (os_error(errno.ENOSPC), FULL),
        (os_error(errno.ENOSPC, "a/b"), f"a/b: {FULL}"),
        (os_error(errno.EACCES, "a/b"), "a/b: Permission denied."),
        (os_error(errno.EROFS, "a/b"), "a/b: Read-only file system."),
        (os_error(errno.EISDIR, "a/b"), "a/b: Is a directory."),
        (os_error(errno.ENOTDIR, "a/b"), "a/b: Not a directory."),
        (os_error(errno.EEXIST, "a/b"), "a/b: File exists."),
        (os_error(errno.ENAMETOOLONG, "a/b"), "a/b: File name too long."),
        (os_error(errno.EFBIG, "a/b"), "a/b: File too large."),
        (os_error(errno.EMFILE, "a/b"), "a/b: Too many open files."),
        (OSError("19500 requested and 14050 written"), FULL),
        (RuntimeError("write() failed: No space left on device; writing x"), FULL),
        (MemoryError("3 GiB"), "Out of memory: 3 GiB"),
        (
            RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.\nx"),
            "Out of memory: RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.",
        ),
        (os_error(errno.ENOENT, "a/b"), None),
        (ValueError("RESOURCE_EXHAUSTED: too many open doors"), None),
    ],
)
def test_what_is_the_machines_is_told_and_the_rest_is_a_bug(error, told):
    assert failures.explain(error) == told


def test_what_led_to_an_error_counts():
    def save():
        try:
            raise os_error(errno.ENOSPC, "x")
        except OSError as full:
            raise RuntimeError("the save failed") from full

    with pytest.raises(RuntimeError) as caught:
        save()
    assert failures.explain(caught.value) == f"x: {FULL}"


def test_what_was_dealt_with_does_not():
    def read():
        try:
            raise os_error(errno.EACCES, "x")
        except OSError:
            raise KeyError("bug") from None

    with pytest.raises(KeyError) as caught:
        read()
    assert failures.explain(caught.value) is None


def test_a_program_that_meets_a_full_disk_ends_with_one_line(capsys):
    def job():
        raise os_error(errno.ENOSPC, "a/b")

    flag_values = program.flags.FlagValues()
    assert program.run(job, flag_values, ["prog"]) == 2
    assert capsys.readouterr().err == f"a/b: {FULL}\n"
