"""Folders that appear under their name when all is in them."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Make a folder completely, or not at all. Used in {doc}`05_data`.

    The block fills the temporary folder that it is given, beside `folder`. When it succeeds, that gets the
    name `folder`; when it raises, it is removed. What a killed process left is removed first.
    """
    temporary = folder.with_name(f".{folder.name}.dmnet.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        yield temporary
        if hasattr(os, "sync"):
            os.sync()  # the final name must not reach the disk before the bytes
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
