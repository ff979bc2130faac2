"""Makes LVM snapshots of a volume and removes them, until the end of its input.

`snapshots.py GROUP/VOLUME`; prints how many it has made as its last line.
"""

from __future__ import annotations

import subprocess
import sys

from vmtpy.demo.writers import told_to_stop


def main(volume: str) -> None:
    group = volume.partition("/")[0]
    made = 0
    while not told_to_stop():
        create = ["lvm", "lvcreate", "-y", "-s", "-n", "copy", "-L", "16M", volume]
        subprocess.run(create, check=True)
        subprocess.run(["lvm", "lvremove", "-y", f"{group}/copy"], check=True)
        made += 1
    print(made)


if __name__ == "__main__":
    main(sys.argv[1])
