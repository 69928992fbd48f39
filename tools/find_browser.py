"""Find the browser that the tests drive, or get one where that is possible; `make test` calls this first.

The first that there is: the machine's own Chromium or Chrome, Playwright's, Debian's package (as root), and
what Playwright downloads. Without any the browser tests are skipped, with CI=true they fail.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ADVICE = "needs the Chromium browser (Debian: apt install chromium; elsewhere: playwright install chromium)"


def find():
    """Return the path of a Chromium, or None."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found:
        return found
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    return own if Path(own).is_file() else None


def install():
    """Try to get one: Debian's package where we are root, else Playwright's own."""
    apt = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=120"]
    as_root = hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get")
    if as_root and succeeds(*apt, "update") and succeeds(*apt, "install", "-y", "chromium"):
        return
    succeeds(sys.executable, "-m", "playwright", "install", "chromium")


def succeeds(*command):
    try:
        return subprocess.run(command, capture_output=True, timeout=600).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def main():
    if find():
        return
    print("Getting a browser for the tests ...", flush=True)
    install()
    if not find():
        print(f"THERE IS NO BROWSER: the tests in a browser are left out. Testing {ADVICE}.", file=sys.stderr)


if __name__ == "__main__":
    main()
