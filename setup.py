"""Builds the two extensions: _core (what an agent needs) and _host (the emulated VMware)."""

import os
import platform
from glob import glob

from pybind11.setup_helpers import ParallelCompile, Pybind11Extension
from setuptools import setup

WARNINGS = ["-Wall", "-Wextra"]
# The core carries no Python: it is compiled once into each extension that uses it, and _host
# reaches the classes of _core only through their virtual functions.
CORE = sorted(glob("csrc/core/*.cpp"))
HOST = sorted(glob("csrc/host/*.cpp"))
BIND = sorted(set(glob("csrc/bind/*.cpp")) - set(glob("csrc/bind/host_*.cpp")))
HEADERS = glob("csrc/**/*.h", recursive=True)
BIND_HOST = sorted(glob("csrc/bind/host_*.cpp"))
if platform.machine() != "x86_64":  # the ptrace host is x86-64's
    PTRACE = ["cpuid", "decode", "launch", "seccomp_filter", "socket_calls", "stopped_call"]
    PTRACE += ["tracee", "tracer", "trap"]
    HOST = sorted(set(HOST) - {f"csrc/host/{name}.cpp" for name in PTRACE})
    BIND_HOST.remove("csrc/bind/host_trap.cpp")

# VMTPY_SANITIZE=address,undefined builds both extensions with those sanitizers.
SANITIZE = os.environ.get("VMTPY_SANITIZE", "")


def extension(name: str, sources: list[str]) -> Pybind11Extension:
    built = Pybind11Extension(
        name,
        sources,
        include_dirs=["csrc"],
        depends=HEADERS,
        cxx_std=20,
        extra_compile_args=[*WARNINGS, "-O2"],
        extra_link_args=["-pthread"],
    )
    if SANITIZE:
        flags = [
            f"-fsanitize={SANITIZE}",
            "-O1",  # half the time to compile, and stacks that can be read
            "-g1",
            "-fno-omit-frame-pointer",
            "-fno-sanitize-recover",
        ]
        built.extra_compile_args += flags
        built.extra_link_args += flags
    return built


NEWEST_HEADER = max(os.stat(header).st_mtime for header in HEADERS)


def needs_recompile(built: str, source: str) -> bool:
    """Any header counts for every source: a stale object is worse than a slow build."""
    changed = max(os.stat(source).st_mtime, NEWEST_HEADER)
    return not os.path.exists(built) or os.stat(built).st_mtime < changed


ParallelCompile("VMTPY_BUILD_JOBS", os.cpu_count() or 1, needs_recompile=needs_recompile).install()
setup(
    ext_modules=[
        extension("vmtpy._core", CORE + BIND),
        extension("vmtpy._host", CORE + HOST + BIND_HOST),
    ],
)
