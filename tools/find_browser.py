"""Find the browser that the tests drive, or get one where that is possible; `make test` calls this first.

The first that there is: the machine's own Chromium or Chrome, Playwright's, Debian's package (as root), and
what Playwright downloads. Without any the browser tests are skipped, with CI=true they fail. Chromium's
shell without a window spares the tests a third of their time; Firefox and WebKit are tested too. These three
are taken where they are there, or can be had of Debian (as root).
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


def find_shell():
    """Return the path of Debian's Chromium without a window, which draws the same pages sooner, or None."""
    return shutil.which("chromium-headless-shell")


def find_firefox():
    """Return the path of a Firefox, or None."""
    found = next(filter(None, map(shutil.which, ("firefox", "firefox-esr"))), None)
    # Ubuntu's, a snap, does not see the folders that the tests give it.
    return None if found and b"/snap/" in Path(found).read_bytes()[:5000] + found.encode() else found


def find_webkit():
    """Return the path of WebKitGTK's small browser, or None; it needs its driver and a screen too."""
    if not shutil.which("WebKitWebDriver") or not shutil.which("Xvfb"):
        return None
    found = sorted(Path("/usr").glob("lib*/**/webkit2gtk-4.1/MiniBrowser"))
    return str(found[-1]) if found else None


# What is tested besides, where it is there: how it is found, and Debian's packages.
OTHERS = {
    "firefox": (find_firefox, ["firefox-esr"]),
    "webkit": (find_webkit, ["webkit2gtk-driver", "xvfb"]),
}


def install():
    """Try to get one: Debian's package where we are root, else Playwright's own."""
    if not install_packages("chromium"):
        succeeds(sys.executable, "-m", "playwright", "install", "chromium")


def install_packages(*names):
    """Install packages of Debian where we are root; return whether that was possible."""
    apt = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=120"]
    if not (hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get")):
        return False
    return succeeds(*apt, "update") and succeeds(*apt, "install", "-y", "--no-install-recommends", *names)


def succeeds(*command):
    try:
        return subprocess.run(command, capture_output=True, timeout=600).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def main():
    if not find():
        print("Getting a browser for the tests ...", flush=True)
        install()
        if not find():
            print(
                f"THERE IS NO BROWSER: the tests in a browser are left out. Testing {ADVICE}.",
                file=sys.stderr,
            )
            return
    for found, packages in ((find_shell, ["chromium-headless-shell"]), *OTHERS.values()):
        if not found():
            install_packages(*packages)


if __name__ == "__main__":
    main()
