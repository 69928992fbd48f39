"""`python -m dmnet` is `dmnet`."""

from dmnet.cli import app

app(prog_name="dmnet")
