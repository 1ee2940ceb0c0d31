"""The one exception that means "what was asked for cannot be done as asked"."""


class InputError(ValueError):
    """A mistake in a name, a flag, a file or its contents.

    The message is one line: what was expected, what was found, what to do. Programs
    print it without a traceback and exit with code 2; any other exception is a bug.
    """
