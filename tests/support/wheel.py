"""Makes a wheel of the package that the tests import, to install without a network."""

from __future__ import annotations

import sys
import sysconfig
import zipfile
from importlib import metadata
from pathlib import Path

from support.programs import rpctool

import vmtpy

COMMANDS = """\
[console_scripts]
vmtpy = vmtpy.__main__:main
vmtpy-toolbox-cmd = vmtpy.toolbox:main
"""
NEEDS = "Requires-Dist: tomli>=2; python_version < '3.11'\n"


def make_wheel(directory: Path) -> Path:
    """Writes the wheel, and those that pip needs beside it; nothing is compiled."""
    if sys.version_info < (3, 11):
        pack_installed("tomli", directory)
    package = Path(vmtpy.__file__).parent
    tag = f"cp{sys.version_info.major}{sys.version_info.minor}"
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    version = vmtpy.__version__
    info = f"vmtpy-{version}.dist-info"
    texts = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: vmtpy\nVersion: {version}\n{NEEDS}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: false\n"
        f"Tag: {tag}-{tag}-{platform}\n",
        f"{info}/entry_points.txt": COMMANDS,
    }
    files = [path for path in package.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    inside = {f"vmtpy/{file.relative_to(package)}": file for file in files}
    inside[f"vmtpy-{version}.data/scripts/vmtpy-rpctool"] = Path(rpctool())
    record = "".join(f"{name},,\n" for name in (*inside, *texts, f"{info}/RECORD"))
    made = directory / f"vmtpy-{version}-{tag}-{tag}-{platform}.whl"
    with zipfile.ZipFile(made, "w") as wheel:
        for name, file in inside.items():
            wheel.write(file, name)
        for name, text in {**texts, f"{info}/RECORD": record}.items():
            wheel.writestr(name, text)
    return made


def pack_installed(name: str, directory: Path) -> None:
    """Writes the wheel of a package that this Python has."""
    package = metadata.distribution(name)
    made = directory / f"{name}-{package.version}-py3-none-any.whl"
    with zipfile.ZipFile(made, "w") as wheel:
        for file in package.files or []:
            if file.suffix != ".pyc":
                wheel.write(file.locate(), file)
