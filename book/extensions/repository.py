"""Sphinx extension: buttons that lead to the project's repository, as far as `_config.yml` names one.

Jupyter Book takes the address from `repository` and the services from `launch_buttons`. With an empty address
no page has such a button. With one, every page has a button for the repository and for editing that page,
and every notebook the services that can open it; Colab and Kaggle open notebooks on GitHub alone.
"""

from typing import Any
from urllib.parse import urlsplit

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config

HOSTS = ("github", "gitlab", "bitbucket")  # of which the theme knows the addresses of a file
BUTTONS = ("use_repository_button", "use_edit_page_button")
GITHUB_ALONE = ("colab_url", "kaggle_url")


def host(url: str) -> str:
    """Return which of the known hosts an address is on; "" if on none of them."""
    return next((name for name in HOSTS if f"{name}." in urlsplit(url).netloc), "")


def choose_buttons(app: Sphinx, config: Config) -> None:
    """Tell the theme which buttons it can make of the address."""
    options: dict[str, Any] = config.html_theme_options
    url = options.get("repository_url", "").rstrip("/").removesuffix(".git")
    services: dict[str, str] = options.get("launch_buttons", {})
    found = host(url)
    options["repository_url"] = url if found else ""
    options |= dict.fromkeys(BUTTONS, bool(found))
    if not found:
        options["launch_buttons"] = {}
    elif found != "github":
        options["launch_buttons"] = {key: one for key, one in services.items() if key not in GITHUB_ALONE}


def add_kaggle(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Add Kaggle, which the theme does not know, below Colab."""
    kaggle = app.config.html_theme_options.get("launch_buttons", {}).get("kaggle_url")
    for group in context.get("header_buttons", []) if kaggle else []:
        buttons = group.get("buttons", [])
        if colab := next((button for button in buttons if button["text"] == "Colab"), None):
            source = "https://github.com/" + colab["url"].partition("/github/")[2]
            url, icon = f"{kaggle}/kernels/welcome?src={source}", "fab fa-kaggle"
            tooltip = colab["tooltip"].replace("Colab", "Kaggle")
            new = {"type": "link", "text": "Kaggle", "tooltip": tooltip, "icon": icon, "url": url}
            buttons.insert(buttons.index(colab) + 1, new)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension."""
    app.connect("config-inited", choose_buttons)
    app.connect("html-page-context", add_kaggle, priority=510)  # after the theme's own, 501
    return {"parallel_read_safe": True, "parallel_write_safe": True}
