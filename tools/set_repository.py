"""Write the address of the project's repository into every file that gives it.

The address stands in `_config.yml`, under `repository`; empty means that the project has none yet. The
buttons of the built pages follow by themselves (`book/extensions/repository.py`). This program lets the rest
follow: the first cell of every notebook, which installs the package from there, README, CONTRIBUTING,
CITATION.cff and pyproject.toml. With an address it first writes that into `_config.yml`; with `--check`
nothing is written, and the files that do not agree are listed.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NONE = "<this repository>"  # what README and CONTRIBUTING say where there is no address
# The first cell of every notebook, between whose lines the address stands.
CELL = """
try:
    import dmnet
except ModuleNotFoundError:  # a fresh notebook: install the package
    from pathlib import Path

    # tools/set_repository.py writes the address
    ADDRESS = "{address}"
    wheels = sorted(Path().resolve().glob("dmnet-*.whl"))
    if Path("../dmnet").is_dir():  # of the clone around this notebook,
        package = "..[all]"
    elif wheels:  # from the file beside it,
        package = f"{{wheels[-1]}}[all]"
    elif ADDRESS:  # or from where the project lives
        package = f"dmnet[all] @ {{ADDRESS}}"
    else:
        raise FileNotFoundError(
            "the package is not here: put its file dmnet-*.whl beside this notebook"
            " (the download button of a page has both, in one zip), or open this"
            " notebook in the folder book/ of a clone; then run this cell again"
        ) from None
    %pip install --quiet "{{package}}"
    import dmnet
from dmnet.book import setup

profile = setup()
""".strip()
HOSTS = {"github": "", "gitlab": "/-"}  # what stands before /blob/ in the address of a file


def checked(url: str) -> str:
    """Return an address without a slash at its end; end the program if pip cannot use it."""
    if url and not re.fullmatch(r"https?://[\w.:~/-]+", url):
        sys.exit(f"the repository's address is {url!r}; one like https://host/owner/name is needed")
    return url.rstrip("/")


def setting(text: str) -> tuple[str, str]:
    """Return address and branch of the repository that `_config.yml` names; the address may be empty."""
    block = re.search(r'^repository:\n +url: "(.*?)".*\n +branch: (\S+)$', text, flags=re.M)
    if block is None:
        sys.exit('_config.yml: under `repository:` there must be the lines `url: "..."` and `branch: main`')
    url, branch = checked(block[1]), block[2]
    if "/" in branch:
        sys.exit(f"_config.yml: repository.branch is {branch!r}; a branch without / is needed")
    return url, branch


def git_address(url: str, branch: str) -> str:
    """Return what pip installs from; "" without a repository."""
    return f"git+{url}@{branch}" if url else ""


def file_address(url: str, branch: str, name: str) -> str | None:
    """Return the address of a file; None if the host is none whose addresses are known."""
    host = next((host for host in HOSTS if f"{host}." in url.split("/")[2]), None) if url else None
    kind = "raw" if name.endswith((".png", ".svg")) else "blob"
    return f"{url}{HOSTS[host]}/{kind}/{branch}/{name}" if host else None


def notebook(text: str, url: str, branch: str) -> str:
    """Return a notebook whose first cell of code is ours."""
    content = json.loads(text)
    first = next(cell for cell in content["cells"] if cell["cell_type"] == "code")
    first["source"] = CELL.format(address=git_address(url, branch)).splitlines(keepends=True)
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def prose(text: str, url: str, branch: str) -> str:
    """Return README or CONTRIBUTING with their commands, and with links that hold on an index of packages."""
    place = git_address(url, branch) or f"git+{NONE}"
    text = re.sub(rf"git\+(?:{NONE}|\w+://[^\s'\"]+)", place, text)
    text = re.sub(rf"git clone (?:{NONE}|\S+)(?= dmnet)", f"git clone {url or NONE}", text)

    def link(found: re.Match[str]) -> str:
        name = found[1]
        address = file_address(url, branch, name) if (ROOT / name).is_file() else None
        return f"]({address or name})" if (ROOT / name).is_file() else found[0]

    return re.sub(r"\]\((?:\w+://[^()\s]+?/(?:blob|raw)/[^()\s/]+/)?([\w./-]+)\)", link, text)


def project(text: str, url: str, branch: str) -> str:
    """Return pyproject.toml with the addresses that an index shows."""
    text = re.sub(r"\[project\.urls\]\n(?:.+\n)*\n", "", text)
    if not url:
        return text
    lines = ["[project.urls]", f'Repository = "{url}"']
    if changes := file_address(url, branch, "CHANGELOG.md"):
        lines += [f'Changelog = "{changes}"', f'Issues = "{changes.partition("/blob/")[0]}/issues"']
    return text.replace("[project.scripts]", "\n".join([*lines, "", "[project.scripts]"]), 1)


def citation(text: str, url: str, branch: str) -> str:
    """Return CITATION.cff with the address of the code."""
    text = re.sub(r"^repository-code: .*\n", "", text, flags=re.M)
    return re.sub(
        r"^license: ", f'repository-code: "{url}"\nlicense: ' if url else "license: ", text, flags=re.M
    )


def changes() -> Iterator[tuple[Path, str]]:
    """Yield every file that does not give the address of `_config.yml`, and what it should hold."""
    place = setting((ROOT / "_config.yml").read_text(encoding="utf8"))
    writers = {ROOT / name: prose for name in ("README.md", "CONTRIBUTING.md")}
    writers |= {ROOT / "pyproject.toml": project, ROOT / "CITATION.cff": citation}
    writers |= dict.fromkeys(sorted(ROOT.glob("book/*.ipynb")), notebook)
    for path, writer in writers.items():
        text = path.read_text(encoding="utf8")
        if (wanted := writer(text, *place)) != text:
            yield path, wanted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", nargs="?", help='address of the repository; "" for none')
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file does not agree")
    arguments = parser.parse_args()
    if arguments.url is not None and not arguments.check:
        config = ROOT / "_config.yml"
        line, text = r'(^repository:\n +url: )".*?"', config.read_text(encoding="utf8")
        text = re.sub(line, rf'\1"{checked(arguments.url)}"', text, flags=re.M)
        config.write_text(text, encoding="utf8")
    wrong = list(changes())
    for path, text in [] if arguments.check else wrong:
        path.write_text(text, encoding="utf8")
        print(path.relative_to(ROOT))
    if wrong and arguments.check:
        names = ", ".join(str(path.relative_to(ROOT)) for path, _ in wrong)
        sys.exit(f"not what `repository` in _config.yml says: {names}; mended by: tools/set_repository.py")


if __name__ == "__main__":
    main()
