"""`kinehub`, and `python -m hub`: the command line, or one line with file and line where a table or mapping of the standard is wrong."""

import sys
from typing import NoReturn

from schemas.errors import KineHubError


def main() -> NoReturn:
    """The command `kinehub`."""
    try:
        from hub.cli import main as run
    except KineHubError as error:
        sys.exit(f"kinehub: {error.message} {error.advice}".rstrip())
    run()


if __name__ == "__main__":
    main()
