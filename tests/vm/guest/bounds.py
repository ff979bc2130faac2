"""Watches which devices have a bound on their dirty pages, until the end of its input.

Prints as JSON the names of all bdis that had one at some time.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

from vmtpy.demo.writers import told_to_stop

if __name__ == "__main__":
    seen: set[str] = set()
    while not told_to_stop():
        for file in Path("/sys/class/bdi").glob("*/strict_limit"):
            if file.read_text().strip() == "1":
                seen.add(file.parent.name)
        time.sleep(0.02)
    print(json.dumps(sorted(seen)))
