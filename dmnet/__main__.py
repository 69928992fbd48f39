"""`python -m dmnet` is `dmnet`."""

from dmnet.cli import main

main()
