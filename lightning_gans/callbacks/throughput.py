"""Examples per second."""

from __future__ import annotations

import time
from typing import Any

from lightning import Callback


class Throughput(Callback):
    """``perf/samples_per_second`` over all ranks, between two lines of the log and without waiting for the device.

    For sounds ``perf/audio_seconds_per_second`` too.
    """

    def on_train_start(self, trainer: Any, module: Any) -> None:
        self.since, self.count = time.perf_counter(), 0

    def on_validation_end(self, trainer: Any, module: Any) -> None:
        self.since, self.count = time.perf_counter(), 0

    def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, batch: Any, *_: Any) -> None:
        self.count += len(batch[0]) * trainer.world_size
        if module.log_is_due():
            now = time.perf_counter()
            speed = self.count / (now - self.since)
            module.log("perf/samples_per_second", speed)
            if getattr(module, "sample_rate", None):
                module.log("perf/audio_seconds_per_second", speed * batch.audio.shape[-1] / module.sample_rate)
            self.since, self.count = now, 0
