import subprocess
import sys
from pathlib import Path

import zerodte


def test_the_package_needs_numpy_alone():
    script = "import sys; sys.modules.update(dict.fromkeys(('gymnasium', 'pandas', 'polars', 'torch'))); import zerodte; print(len(zerodte.Market.synthetic(end='2024-01-05')))"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "3\n"


def test_no_libtorch_is_linked():
    library = Path(zerodte._core.__file__)
    linked = subprocess.run(["ldd", library], capture_output=True, text=True, check=True).stdout
    assert "libc.so" in linked and "torch" not in linked and "python" not in linked


def test_every_public_name_is_documented():
    for name in zerodte.__all__:
        assert name == "__version__" or getattr(zerodte, name).__doc__, name
    for of in (zerodte.Market, zerodte.BatchEnv, zerodte.Policy, zerodte.Trainer):
        for name, member in vars(of).items():
            assert name.startswith("_") or name == "reward_terms" or member.__doc__, f"{of.__name__}.{name}"
