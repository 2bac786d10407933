"""`python -m hub` is `kinehub`."""

from hub.cli import main

main()
