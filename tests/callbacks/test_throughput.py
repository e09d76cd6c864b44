import pytest
from helpers import tiny_runs, tiny_sounds
from helpers.small_trainer import Noise, tiny, trainer
from lightning import Callback

from lightning_gans.callbacks import throughput
from lightning_gans.callbacks.throughput import Throughput


def test_samples_per_second_by_a_clock_of_ours(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(throughput.time, "perf_counter", lambda: now[0])
    seen = []

    class Tick(Callback):
        """Half a second a batch, and a validation of an hour, which must not count."""

        def on_train_batch_start(self, *_) -> None:
            now[0] += 0.5

        def on_validation_start(self, *_) -> None:
            now[0] += 3600

        def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
            value = trainer.callback_metrics.get("perf/samples_per_second")
            seen.append(None if value is None else float(value))

    speed = Throughput()
    run = trainer(speed, Tick(), log_every_n_steps=2, max_epochs=2)
    run.fit(tiny(), Noise())
    assert float(run.callback_metrics["perf/samples_per_second"]) == pytest.approx(8 / 0.5)
    assert seen[1] == pytest.approx(8 / 0.5) and len(seen) == 10
    assert "perf/audio_seconds_per_second" not in run.callback_metrics

    run = trainer(Throughput(), Tick())
    run.fit(tiny_sounds.wavegan(), tiny_sounds.Noises())
    assert float(run.callback_metrics["perf/samples_per_second"]) == pytest.approx(4 / 0.5)
    seconds = tiny_sounds.LENGTH / tiny_sounds.RATE
    assert float(run.callback_metrics["perf/audio_seconds_per_second"]) == pytest.approx(4 / 0.5 * seconds)


def test_seconds_of_sound_of_vocoders():
    module = tiny_runs.build("parallel_wavegan")
    run = trainer(Throughput(), max_epochs=1)
    run.fit(module, tiny_runs.TinySpeech(module))
    each, seconds = (float(run.callback_metrics[f"perf/{key}_per_second"]) for key in ("samples", "audio_seconds"))
    assert seconds / each == pytest.approx(tiny_runs.FRAMES * 16 / 8000)
