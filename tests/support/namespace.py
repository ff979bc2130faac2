"""A network and a host name for one test, which it can change without changing the machine's."""

from __future__ import annotations

import subprocess

import pytest
from support.loop import require_program, require_root
from support.patience import PATIENCE

NAME = "guest"
MAC = "02:00:00:00:00:01"
SETUP = f"""
echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6
echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6
echo {NAME} > /proc/sys/kernel/hostname
ip link set lo up
ip link add eth0 address {MAC} type veth peer name vethfar
ip link set vethfar up
ip addr add 192.0.2.2/24 dev eth0
ip link set eth0 up
ip route add default via 192.0.2.1
exec "$@"
""".strip().replace("\n", " && ")
# In front of a program, in a shell: it runs with one NIC, 192.0.2.2, and is called "guest".
INSIDE = f"unshare -n -u sh -c '{SETUP}' sh"


def require_namespaces() -> None:
    """Skips the test if a network namespace cannot be made."""
    require_root()
    require_program("unshare", "nsenter", "ip")
    tried = subprocess.run(
        ["sh", "-c", f"{INSIDE} true"], capture_output=True, text=True, check=False, timeout=60
    )
    if tried.returncode != 0:
        pytest.skip(f"needs network namespaces with veth pairs: {tried.stderr.strip()}")


def inside(process: int, command: str) -> None:
    """Runs a shell command in the namespaces of a process."""
    enter = ["nsenter", "-t", str(process), "-n", "-u"]
    subprocess.run([*enter, "sh", "-ec", command], check=True, timeout=PATIENCE)
