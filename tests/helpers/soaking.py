"""A callback for test_soak.py: memory and open files of its process at each validation, into a file."""

import ctypes
import gc
import json
import os
from pathlib import Path

from lightning import Callback


class Watch(Callback):
    """Appends the update, the resident memory in MB and the number of open files to ``soak.jsonl``.

    What Python and the C library hold without using it is given back first, as it comes and goes by a tenth.
    """

    def on_validation_end(self, trainer, module):
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        memory, files = pages * os.sysconf("SC_PAGE_SIZE") / 2**20, len(os.listdir("/proc/self/fd"))
        with Path("soak.jsonl").open("a") as file:
            file.write(json.dumps([trainer.global_step, memory, files]) + "\n")
