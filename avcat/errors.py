"""The one exception for what a user can mend."""


class InputError(ValueError):
    """Something the user gave cannot be used.

    The message is one line that names the file or the key and says why. Commands print it
    without a traceback and exit with code 2.
    """

    def __str__(self) -> str:
        """In one line, whatever the names of files in it are made of."""
        return super().__str__().replace("\n", "\\n").replace("\r", "\\r")
