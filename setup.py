"""Builds the two extensions: _core (what an agent needs) and _host (the emulated VMware)."""

import os
import platform
import re
from glob import glob
from pathlib import Path

from pybind11.setup_helpers import ParallelCompile, Pybind11Extension
from setuptools import setup

WARNINGS = ["-Wall", "-Wextra"]
HARDENING = ["-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2", "-fstack-protector-strong"]
# The core carries no Python: it is compiled once into each extension that uses it, and _host
# reaches the classes of _core only through their virtual functions.
CORE = sorted(glob("csrc/core/*.cpp"))
HOST = sorted(glob("csrc/host/*.cpp"))
BIND = sorted(set(glob("csrc/bind/*.cpp")) - set(glob("csrc/bind/host_*.cpp")))
BIND_HOST = sorted(glob("csrc/bind/host_*.cpp"))
INCLUDED = [*glob("csrc/**/*.h", recursive=True), *BIND, *BIND_HOST]
MACHINE = os.environ.get("VMTPY_MACHINE") or platform.machine()  # set where it is cross-compiled
if MACHINE != "x86_64":  # the ptrace host is x86-64's
    PTRACE = Path("csrc/host/x86_64_only").read_text().split()
    HOST = sorted(set(HOST) - {f"csrc/host/{name}.cpp" for name in PTRACE})
    BIND_HOST.remove("csrc/bind/host_trap.cpp")

UNITS = [("core", BIND, 2), ("host", BIND_HOST, 1)]

# VMTPY_SANITIZE=address,undefined builds both extensions with those sanitizers.
SANITIZE = os.environ.get("VMTPY_SANITIZE", "")

COMPILER_MEMORY = 1 << 30  # bytes that one compiler may need


def units(name: str, sources: list[str], count: int) -> list[str]:
    """`count` files that include all `sources` between them.

    pybind11's headers cost a compiler 10 s for each file that includes them, whatever else is in
    it. Each file stays within COMPILER_MEMORY.
    """
    directory = Path("build/units")
    directory.mkdir(parents=True, exist_ok=True)
    made = []
    for number in range(count):
        unit = directory / f"{name}{number}.cpp"
        text = "".join(f'#include "{source[5:]}"\n' for source in sources[number::count])
        if not unit.exists() or unit.read_text() != text:
            unit.write_text(text)
        made.append(str(unit))
    return made


def extension(name: str, sources: list[str]) -> Pybind11Extension:
    built = Pybind11Extension(
        name,
        sources,
        include_dirs=["csrc"],
        depends=INCLUDED,
        cxx_std=20,
        # -MMD writes beside each object which files it was made from. -Os: pybind11's templates
        # compile faster and take a third less memory at run time.
        extra_compile_args=[*WARNINGS, *HARDENING, "-Os", "-MMD"],
        extra_link_args=["-pthread", "-Wl,-z,relro,-z,now"],
    )
    if SANITIZE:
        flags = [
            f"-fsanitize={SANITIZE}",
            "-U_FORTIFY_SOURCE",
            "-O1",  # half the time to compile, and stacks that can be read
            "-g1",
            "-fno-omit-frame-pointer",
            "-fno-sanitize-recover",
        ]
        built.extra_compile_args += flags
        built.extra_link_args += flags
    return built


def needs_recompile(built: str, source: str) -> bool:
    """Whether one of the files that `built` was made from has changed since."""
    made = Path(built)
    listed = made.with_suffix(".d")
    if not made.exists() or not listed.exists():
        return True
    files = [source, *listed.read_text().replace("\\\n", " ").split(":", 1)[1].split()]
    newest = max((Path(file).stat().st_mtime for file in files if Path(file).exists()), default=0)
    return not all(Path(file).exists() for file in files) or made.stat().st_mtime < newest


def jobs() -> int:
    """As many compilers at once as there are processors, and as fit into the free memory."""
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(1, min(os.cpu_count() or 1, free // COMPILER_MEMORY))


def extensions() -> list[Pybind11Extension]:
    """The slowest files come first: the last compiler to end is then a quick one."""
    if os.environ.get("VMTPY_EXTENSIONS") == "none":  # .ci/wheels adds its own
        return []
    made = {name: units(name, sources, count) for name, sources, count in UNITS}
    return [
        extension("vmtpy._core", made["core"] + CORE),
        extension("vmtpy._host", made["host"] + CORE + HOST),
    ]


def source_address() -> str:
    """Where the sources are, if pyproject.toml says so: [project.urls] Source."""
    found = re.search(r'^Source = "(.+?)/?"', Path("pyproject.toml").read_text(), re.MULTILINE)
    return found[1] if found else ""


def long_description(text: str, address: str) -> str:
    """README.md where its neighbours are not, as on PyPI.

    Links to other files become links to `address`. Without one they become plain text, and the
    pictures, which the text tells in words as well, are left out.
    """

    def link(match: re.Match[str]) -> str:
        picture, label, target = match.groups()
        if re.match("[a-z]+:|#", target):
            return match[0]
        if address:
            return f"{picture}[{label}]({address}/{'raw' if picture else 'blob'}/HEAD/{target})"
        return "" if picture else label if label == target else f"{label} ({target})"

    return re.sub(r"(!?)\[([^]]*)\]\(([^)]*)\)", link, text)


if __name__ == "__main__":
    description = long_description(Path("README.md").read_text(), source_address())
    ParallelCompile("VMTPY_BUILD_JOBS", jobs(), needs_recompile=needs_recompile).install()
    setup(
        ext_modules=extensions(),
        long_description=description,
        long_description_content_type="text/markdown",
    )
