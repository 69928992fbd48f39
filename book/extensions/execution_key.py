"""Sphinx extension: a notebook's cached result holds only for the code and the data that it ran on.

MyST-NB runs a notebook again when the notebook has changed. Its numbers also come from the package that it
imports, from weights, installed libraries and the published data sets that are there. So the cache of every
state of those has a folder of its own, named by a digest. Sphinx sees that the setting has changed and reads
every page again. Where the cache lacks several, they are executed two at once.
"""

import csv
import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

from dmnet.datasets.published import PUBLISHED
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from jupyter_cache.executors.utils import ExecutionResult, single_nb_execution
from nbformat import NotebookNode
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment
from sphinx.util import logging

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [
    "dmnet/**/*.py",
    "dmnet/**/*.js",
    "data/weights/*",
    "data/published/*",
    "data/results/*",
    "constraints.txt",
]
LIBRARIES = ["torch", "torchvision", "numpy", "matplotlib"]
AT_ONCE = 2  # notebooks: one alone leaves a second core idle for half of its time
KEPT = 2  # caches of the newest states: going back to the last one, say to compare, costs no new run


def sources(root: Path, patterns: Sequence[str] = SOURCES) -> Iterator[Path]:
    """Yield every file below `root` that what is made from `patterns` depends on; a notebook, by default."""
    for pattern in patterns:
        yield from sorted(path for path in root.glob(pattern) if path.is_file())


def digest(root: Path, patterns: Sequence[str] = SOURCES) -> str:
    """Return 16 hexadecimal digits that change with any of the sources, or with a library's version."""
    total = hashlib.sha256(" ".join(version(name) for name in LIBRARIES).encode())
    for path in sources(root, patterns):
        total.update(f"{path.relative_to(root).as_posix()}\0".encode())
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()[:16]


def choose_cache(app: Sphinx, config: Config) -> None:
    """Point MyST-NB to the cache for the present state, and remove caches of old ones."""
    folder = Path(app.outdir).parent / ".jupyter_cache"
    shown = [name for name, published in PUBLISHED.items() if published.find()]  # else drawn pictures are
    current = folder / "-".join([digest(ROOT), *shown])
    current.mkdir(parents=True, exist_ok=True)
    current.touch()  # the newest, also when the state is an earlier one
    by_age = sorted(
        (entry for entry in folder.iterdir() if entry.is_dir()), key=lambda entry: entry.stat().st_mtime
    )
    for old in by_age[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    config.nb_execution_cache_path = str(current)  # type: ignore[attr-defined]


def execute_ahead(app: Sphinx, env: BuildEnvironment, docnames: list[str]) -> None:
    """Execute the notebooks that the cache lacks, `AT_ONCE`, the longest first; MyST-NB finds them there.

    One that fails is left to MyST-NB, which executes it again and reports it. So is a single one, and so are
    all where there is a GPU, whose memory two would share.
    """
    paths = [path for path in map(str, map(env.doc2path, docnames)) if path.endswith(".ipynb")]
    cache = get_cache(app.config.nb_execution_cache_path)
    for path in paths:
        cache.add_nb_to_project(path)
    lacking = [record for record in cache.list_unexecuted() if record.uri in paths]
    if app.config.nb_execution_mode != "cache" or len(lacking) < 2 or shutil.which("nvidia-smi"):
        return
    with (ROOT / "book" / "times.csv").open(newline="") as table:
        seconds = {row["chapter"]: float(row["seconds"]) for row in csv.DictReader(table)}
    lacking.sort(key=lambda record: -seconds.get(Path(record.uri).stem, 0))
    notebooks = [cache.get_project_notebook(record.pk).nb for record in lacking]

    def execute(notebook: NotebookNode, uri: str) -> ExecutionResult:
        return single_nb_execution(notebook, cwd=str(Path(uri).parent), timeout=-1, allow_errors=False)

    # Two kernels that share the cores, each with as many threads as there are, wait for each other.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // AT_ONCE)))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        done = pool.map(execute, notebooks, [record.uri for record in lacking])
        for record, result in zip(lacking, done, strict=True):
            if result.err is None:
                logging.getLogger(__name__).info("executed %s in %.0f s", record.uri, result.time)
                bundle = CacheBundleIn(result.nb, record.uri, data={"execution_seconds": result.time})
                cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)


def forget_a_faulty_build(app: Sphinx, exception: Exception | None) -> None:
    """After a warning or an error, let the next build read every page again.

    Sphinx would take the pages as read and the next build would pass, with the failed cells in it. Notebooks
    that succeeded come out of the cache, so reading again is quick.
    """
    if exception is not None or app._warncount:
        (Path(app.doctreedir) / "environment.pickle").unlink(missing_ok=True)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("config-inited", choose_cache)
    app.connect("env-before-read-docs", execute_ahead, priority=900)  # after what the notebooks may read
    app.connect("build-finished", forget_a_faulty_build)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
