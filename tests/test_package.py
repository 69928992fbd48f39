"""What `import dmnet` offers, and what it leaves for later."""

import subprocess
import sys

import dmnet


def test_every_name_can_be_had() -> None:
    for name in dmnet.__all__:
        assert getattr(dmnet, name) is not None
    assert dir(dmnet) == dmnet.__all__


def test_importing_the_package_does_not_load_torch() -> None:
    code = "import sys, dmnet, dmnet.errors, dmnet.files; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(dmnet, "predicted")
