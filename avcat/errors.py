"""The exception for errors that a user can fix."""


class InputError(ValueError):
    """Input of the user cannot be used.

    The message is one line with the file or the key and the reason. Commands print it
    without a traceback and exit with code 2.
    """

    def __str__(self) -> str:
        """One line, even if file names in it contain line breaks."""
        return super().__str__().replace("\n", "\\n").replace("\r", "\\r")
