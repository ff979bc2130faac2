"""The package's programs, for tests that need them on PATH."""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path

import vmtpy

# Those in Python and where they begin.
ENTRIES = {"vmtpy": "vmtpy.__main__", "vmtpy-toolbox-cmd": "vmtpy.toolbox"}


def rpctool() -> str:
    """vmtpy-rpctool: what pip has installed, or what `setup.py build_ext --inplace` has built."""
    package = Path(vmtpy.__file__).parent
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    tree = package.parents[1] / "build" / f"scripts-{version}"
    built = tree if package.parent.name == "src" else Path(sysconfig.get_path("scripts"))
    found = built / "vmtpy-rpctool"
    assert found.exists(), f"{found} is missing: install the package, or build it in place"
    if "address" in os.environ.get("VMTPY_SANITIZE", ""):  # it is looked over, too
        assert b"__asan_init" in found.read_bytes()
    return str(found)


def path_with_programs(directory: Path) -> dict[str, str]:
    """An environment whose PATH begins with the package's programs, made in `directory`."""
    for program, module in ENTRIES.items():
        file = directory / program
        call = f"import sys; from {module} import main"
        file.write_text(f"#!{sys.executable}\n{call}\nsys.exit(main())\n")
        file.chmod(0o755)
    (directory / "vmtpy-rpctool").symlink_to(rpctool())
    return {**os.environ, "PATH": f"{directory}:{os.environ['PATH']}"}
