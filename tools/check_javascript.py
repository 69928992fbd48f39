"""Check our own JavaScript: style (ESLint), types (TypeScript, from the JSDoc comments).

`make lint` calls this. Both programs come from `package-lock.json` and lie in `.venv/javascript`. The unit
tests run with the others: tests/playground/test_javascript.py.
"""

import subprocess
import sys

import environment

MODULES = environment.VENV / "javascript" / "node_modules"
LINTED = ["eslint.config.mjs", "book/assets", "dmnet/playground", "tests/playground/javascript"]
CHECKS = {
    "ESLint": [MODULES / "eslint/bin/eslint.js", "--max-warnings=0", *LINTED],
    "TypeScript": [MODULES / "typescript/lib/tsc.js", "--project", "tsconfig.json", "--pretty"],
}


def main():
    failed = []
    for name, command in CHECKS.items():
        try:
            environment.run("node", *command, cwd=environment.ROOT)
        except subprocess.CalledProcessError:
            failed.append(name)
    if failed:
        sys.exit(f"JavaScript: {' and '.join(failed)} found something, see above.")
    print("JavaScript: style and types are fine.")


if __name__ == "__main__":
    main()
