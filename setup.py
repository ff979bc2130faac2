"""Builds the two extensions: _core (what an agent needs) and _host (the emulated VMware); and the
programs of csrc/programs.

Each folder of csrc is a floor and becomes one static library; csrc/bind is compiled into the
extensions. A library is linked before those that it may use. tests/native/Makefile links the same
libraries without Python.
"""

import os
import platform
import re
from glob import glob
from pathlib import Path

from pybind11.setup_helpers import ParallelCompile, Pybind11Extension
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.modified import newer

# setuptools' own, which stands under this name once setuptools is imported.
from distutils.command.build_scripts import build_scripts  # isort: skip

FLOORS = ["base", "linux", "wire", "plan", "freeze", "agent", "emulator", "doubles"]
CORE = FLOORS[: FLOORS.index("agent") + 1]  # what _core is made of
HOST = ["emulator", "doubles"]  # what _host has beside it
PROGRAM = ["base", "linux", "wire"]  # what the programs are made of
PROGRAMS = {"vmtpy-rpctool": "csrc/programs/rpctool.cpp"}
MACHINE = os.environ.get("VMTPY_MACHINE") or platform.machine()  # set where it is cross-compiled

WARNINGS = ["-Wall", "-Wextra"]
HARDENING = ["-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2", "-fstack-protector-strong"]
# -MMD writes beside each object which files it was made from. -Os: pybind11's templates compile
# faster and take a third less memory at run time.
FLAGS = [*WARNINGS, *HARDENING, "-Os", "-MMD"]
LINK_FLAGS = ["-pthread", "-Wl,-z,relro,-z,now"]
# VMTPY_SANITIZE=address,undefined builds extensions and programs with those sanitizers.
if sanitizers := os.environ.get("VMTPY_SANITIZE", ""):
    SANITIZE = [
        f"-fsanitize={sanitizers}",
        "-U_FORTIFY_SOURCE",
        "-O1",  # half the time to compile, and stacks that can be read
        "-g1",
        "-fno-omit-frame-pointer",
        "-fno-sanitize-recover",
    ]
    FLAGS += SANITIZE
    LINK_FLAGS += SANITIZE

COMPILER_MEMORY = 1 << 30  # bytes that one compiler may need


def sources(directory: str) -> list[str]:
    """The C++ files below a directory, without those that are for x86-64 where this is not one."""
    found = sorted(glob(f"csrc/{directory}/**/*.cpp", recursive=True))
    if MACHINE != "x86_64":
        found = [file for file in found if "/ptrace/" not in file]
    return found


EVERY_FILE = [*glob("csrc/**/*.h", recursive=True), *glob("csrc/**/*.cpp", recursive=True)]


def library(floor: str) -> tuple[str, dict[str, object]]:
    """The static library of a floor."""
    flags = ["-std=c++20", "-fvisibility=hidden", "-g0", *FLAGS]
    depends = {"": EVERY_FILE}  # coarse: needs_recompile() decides for each object
    return f"vmtpy_{floor}", {
        "sources": sources(floor),
        "include_dirs": ["csrc"],
        "cflags": flags,
        "obj_deps": depends,
    }


def units(name: str, files: list[str], count: int) -> list[str]:
    """`count` files that include all of `files` between them.

    pybind11's headers cost a compiler 10 s for each file that includes them, whatever else is in
    it. Each file stays within COMPILER_MEMORY.
    """
    directory = Path("build/units")
    directory.mkdir(parents=True, exist_ok=True)
    made = []
    for number in range(count):
        unit = directory / f"{name}{number}.cpp"
        text = "".join(f'#include "{file[5:]}"\n' for file in files[number::count])
        if not unit.exists() or unit.read_text() != text:
            unit.write_text(text)
        made.append(str(unit))
    return made


def parts(name: str, floors: list[str]) -> list[str]:
    """The module file of _`name` and the bindings of `floors`."""
    bindings = [file for floor in floors for file in sources(f"bind/{floor}")]
    return [f"csrc/bind/{name}_module.cpp", *bindings]


UNITS = [("core", parts("core", CORE), 2), ("host", parts("host", HOST), 1)]


def extensions() -> list[Pybind11Extension]:
    """None where VMTPY_EXTENSIONS=none: .ci/wheels adds its own."""
    if os.environ.get("VMTPY_EXTENSIONS") == "none":
        return []
    return [
        Pybind11Extension(
            f"vmtpy._{name}",
            units(name, files, count),
            include_dirs=["csrc"],
            depends=EVERY_FILE,
            cxx_std=20,
            extra_compile_args=FLAGS,
            extra_link_args=LINK_FLAGS,
        )
        for name, files, count in UNITS
    ]


class BuildLibrariesFirst(build_ext):
    """build_ext alone, as for a build in place, does not build the libraries."""

    def run(self) -> None:
        self.run_command("build_clib")
        super().run()
        if self.inplace:
            self.run_command("build_scripts")  # tests look for the programs there

    def build_extension(self, ext: Extension) -> None:
        """Links anew where a library has changed: distutils looks at the objects alone."""
        built = Path(self.get_ext_fullpath(ext.name))
        libraries = Path(self.get_finalized_command("build_clib").build_clib).glob("*.a")
        if built.exists() and any(newer(str(made), str(built)) for made in libraries):
            built.unlink()
        super().build_extension(ext)


class BuildPrograms(build_scripts):
    """Compiles the programs: as scripts of a wheel every installer makes them executable."""

    def run(self) -> None:
        self.run_command("build_clib")
        libraries = self.get_finalized_command("build_clib")
        linker = libraries.compiler
        Path(self.build_dir).mkdir(parents=True, exist_ok=True)
        for name, source in PROGRAMS.items():
            Path(self.build_dir, name).unlink(missing_ok=True)  # a library may have changed
            flags = ["-std=c++20", "-g0", *FLAGS]
            objects = linker.compile(
                [source], libraries.build_temp, include_dirs=["csrc"], extra_postargs=flags
            )
            linker.link_executable(
                objects,
                name,
                self.build_dir,
                [f"vmtpy_{floor}" for floor in reversed(PROGRAM)],
                [libraries.build_clib],
                extra_postargs=LINK_FLAGS,
                target_lang="c++",
            )


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
    built = extensions()
    setup(
        cmdclass={"build_ext": BuildLibrariesFirst, "build_scripts": BuildPrograms},
        libraries=[library(floor) for floor in reversed(FLOORS)] if built else [],
        ext_modules=built,
        scripts=[*PROGRAMS.values()] if built else [],
        long_description=description,
        long_description_content_type="text/markdown",
    )
