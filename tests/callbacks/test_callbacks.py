from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from helpers import tiny_runs, tiny_sounds
from helpers.small_run import fit, run_folder
from lightning import Callback, Trainer
from lightning.pytorch.loggers import Logger
from PIL import Image
from torch import Tensor

from lightning_gans.__main__ import main
from lightning_gans.callbacks import evaluation, throughput
from lightning_gans.callbacks.evaluation import Evaluate
from lightning_gans.callbacks.media import clips_picture
from lightning_gans.callbacks.nonfinite import NonFiniteLoss, StopAtNonFiniteLoss
from lightning_gans.callbacks.predictions import SavePredictions
from lightning_gans.callbacks.samples import LogSamples, in_columns
from lightning_gans.callbacks.throughput import Throughput
from lightning_gans.data import Digits
from lightning_gans.data.images.base import ImageDataModule
from lightning_gans.data.loading import ImagesInMemory
from lightning_gans.errors import InputError
from lightning_gans.metrics import LabelAccuracy, ParzenLogLikelihood, SlicedWasserstein, parzen
from lightning_gans.models import CGAN, GAN


class Noise(ImageDataModule):
    """Images of 4x4 pixels: 40 to train with, 20 to validate, 30 to test."""

    num_classes = 10

    def __init__(self, eval_batch_size: int = 8) -> None:
        super().__init__(batch_size=8, eval_batch_size=eval_batch_size, image_size=4)
        self.image_shape = (1, 4, 4)

    def setup(self, stage: str) -> None:
        draw = torch.Generator().manual_seed(0)
        self.splits = {
            name: ImagesInMemory(
                torch.randint(low, high, (num, 1, 4, 4), generator=draw, dtype=torch.uint8), torch.arange(num) % 10
            )
            for name, num, low, high in (("train", 40, 0, 256), ("val", 20, 100, 156), ("test", 30, 240, 256))
        }


def scaled(data: Noise, split: str) -> Tensor:
    return data.splits[split].image / 127.5 - 1


def trainer(*extra, **options) -> Trainer:
    defaults = dict(accelerator="cpu", enable_progress_bar=False, enable_model_summary=False, logger=False)
    defaults |= dict(enable_checkpointing=False, num_sanity_val_steps=0, max_epochs=1, log_every_n_steps=1)
    return Trainer(**(defaults | options), callbacks=list(extra))


def tiny(image_shape=(1, 4, 4), **options) -> GAN:
    torch.manual_seed(0)
    return varied(GAN(image_shape, latent_dim=3, hidden=8, units=4, **options))


def varied(model):
    """With plain differences between samples, which those of fresh weights do not have."""
    for parameter in model.generator.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return model


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.setenv("PL_GLOBAL_SEED", "5")
    monkeypatch.chdir(tmp_path)
    return tmp_path


class ParzenOf20(ParzenLogLikelihood):
    """For as few images as there are here."""

    def __init__(self) -> None:
        super().__init__(num_samples=20)


class Keep(Callback):
    """Notes what was generated, batch by batch."""

    def __init__(self) -> None:
        self.fakes: list[Tensor] = []

    def on_validation_batch_end(self, trainer, module, outputs, *_) -> None:
        self.fakes.append(outputs)

    on_test_batch_end = on_validation_batch_end


# ---- metrics


def test_validation_judges_what_was_generated():
    data, keep, model = Noise(), Keep(), tiny()
    run = trainer(Evaluate(["sliced_wasserstein"]), keep)
    run.validate(model, data, verbose=False)
    by_hand = SlicedWasserstein()
    by_hand.update(scaled(data, "val"), torch.cat(keep.fakes))
    assert run.callback_metrics["val/sliced_wasserstein"].item() == pytest.approx(by_hand.compute().item(), rel=1e-5)
    assert [len(fake) for fake in keep.fakes] == [8, 8, 4]


def test_a_test_has_a_baseline_of_real_images():
    data, keep, model = Noise(), Keep(), tiny()
    run = trainer(Evaluate(["sliced_wasserstein"]), keep)
    run.test(model, data, verbose=False)
    real = SlicedWasserstein()
    real.update(scaled(data, "test"), scaled(data, "train")[:30])
    fake = SlicedWasserstein()
    fake.update(scaled(data, "test"), torch.cat(keep.fakes))
    figures = run.callback_metrics
    assert figures["test/sliced_wasserstein_real_train"].item() == pytest.approx(real.compute().item(), rel=1e-5)
    assert figures["test/sliced_wasserstein"].item() == pytest.approx(fake.compute().item(), rel=1e-5)
    assert real.compute() != fake.compute()


def test_the_width_of_the_parzen_window_comes_from_validation_images_in_a_test_alone(monkeypatch):
    monkeypatch.setitem(evaluation.METRICS, "parzen_ll", ParzenOf20)
    data, keep, model = Noise(), Keep(), tiny()
    run = trainer(Evaluate(["parzen_ll"]), keep)
    run.validate(model, data, verbose=False)
    rows = [parzen.unit_rows(images) for images in (scaled(data, "val"), torch.cat(keep.fakes))]
    tried = parzen.parzen_log_likelihood(*rows, parzen.SIGMAS).mean(1)
    assert run.callback_metrics["val/parzen_ll"].item() == pytest.approx(tried.max().item(), rel=1e-5)

    keep.fakes.clear()
    run.test(model, data, verbose=False)
    samples = parzen.unit_rows(torch.cat(keep.fakes))[:20]
    validation, test = (parzen.unit_rows(scaled(data, split)) for split in ("val", "test"))
    best = parzen.parzen_log_likelihood(validation, samples, parzen.SIGMAS).mean(1).argmax()
    by_hand = parzen.parzen_log_likelihood(test, samples, parzen.SIGMAS).mean(1)
    assert run.callback_metrics["test/parzen_ll"].item() == pytest.approx(by_hand[best].item(), rel=1e-5)
    assert by_hand.argmax() != best  # else it could have come from the test images


def test_the_baseline_of_label_accuracy_is_the_test_set():
    """The last batch is short: 360 test images in batches of 100."""
    data = Digits(eval_batch_size=100)
    run = trainer(Evaluate(["label_accuracy"]))
    model = CGAN(image_shape=(1, 32, 32), latent_dim=3)
    run.test(model, data, verbose=False)
    by_hand = LabelAccuracy()
    test = data.splits["test"][:]
    by_hand.update(None, test.image / 127.5 - 1, test.label)
    assert run.callback_metrics["test/label_accuracy_real"].item() == pytest.approx(by_hand.compute().item())
    assert by_hand.compute() > 0.5


def test_a_metric_that_a_limited_validation_cannot_give_is_left_out(monkeypatch):
    monkeypatch.setitem(evaluation.METRICS, "parzen_ll", ParzenOf20)
    checkpoint = callbacks_of_cli("val/parzen_ll")
    run = trainer(
        Evaluate(["parzen_ll", "sliced_wasserstein"]),
        checkpoint,
        limit_val_batches=2,
        enable_checkpointing=True,
        max_epochs=2,
    )
    with pytest.warns(UserWarning, match=r"val/parzen_ll is left out.*16 samples") as warned:
        run.fit(tiny(), Noise())
    assert sum("left out" in str(w.message) for w in warned) == 1
    assert "val/parzen_ll" not in run.callback_metrics and "val/sliced_wasserstein" in run.callback_metrics
    assert Path(checkpoint.best_model_path).is_file()


def test_a_metric_that_the_whole_set_cannot_give_is_an_error():
    with pytest.raises(InputError, match="parzen_ll got 20 samples"):
        trainer(Evaluate(["parzen_ll"])).validate(tiny(), Noise(), verbose=False)


def callbacks_of_cli(monitor: str):
    from lightning.pytorch.callbacks import ModelCheckpoint

    return ModelCheckpoint(monitor=monitor)


# ---- pictures


def picture(path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("L"))


def test_the_same_weights_give_the_same_picture(here):
    model, samples = tiny(), LogSamples(num=6)
    run = trainer(samples)
    run.fit(model, Noise())
    shown = picture(here / "samples" / "00000005.png")
    assert shown.shape == (2 + 6, 2 + 6 * 6)
    fixed = LogSamples(num=6)
    for draws in (2, 3):  # whatever was drawn between
        torch.randn(draws)
        fixed.on_validation_end(run, model)
        assert np.array_equal(picture(fixed.latest), shown)
    model.generator.output.bias.data += 1
    fixed.on_validation_end(run, model)
    assert not np.array_equal(picture(fixed.latest), shown)


def test_columns_are_classes(here):
    torch.manual_seed(0)
    model, samples = varied(CGAN(image_shape=(1, 4, 4), latent_dim=3)), LogSamples()
    trainer(samples, limit_train_batches=1).fit(model, Noise())
    shown = picture(samples.latest)
    assert shown.shape == (10 * 6 + 2, 10 * 6 + 2)
    images = model.sample(100, torch.arange(100) % 10, seed=0).reshape(10, 10, 4, 4)
    expected = ((images + 1) / 2 * 255).round().byte().numpy()
    assert np.array_equal(shown[2 + 6 * 3 : 6 + 6 * 3, 2 + 6 * 7 : 6 + 6 * 7], expected[3, 7])


def test_predictions_are_written_once(here):
    data, model = Noise(), tiny()
    trainer(SavePredictions()).predict(model, data)
    files = sorted((here / "predictions").iterdir())
    assert [file.name for file in files] == [f"{number:08d}.png" for number in range(30)]
    assert len({file.read_bytes() for file in files}) == 30 and picture(files[0]).shape == (4, 4)
    with pytest.raises(InputError, match=r"predictions holds files already.*default_root_dir"):
        trainer(SavePredictions()).predict(model, data)


# ---- sounds


def clips(folder: Path) -> np.ndarray:
    """The files of a folder in order, (N, T) as 16-bit numbers; all at the rate of the data."""
    read = [soundfile.read(path, dtype="int16") for path in sorted(folder.glob("*.wav"))]
    assert {rate for _, rate in read} == {tiny_sounds.RATE}
    return np.stack([samples for samples, _ in read])


def as_16_bit(audio: Tensor) -> np.ndarray:
    """What a file holds of (N, 1, T); the clips must differ for a comparison to mean anything."""
    assert len(audio.unique(dim=0)) == len(audio) > 1
    return (audio[:, 0].clamp(-1, 1) * 32767).round().short().numpy()


def test_the_same_weights_give_the_same_clips(here):
    model, samples = tiny_sounds.wavegan(n_critic=1), LogSamples()
    run = trainer(samples)
    run.fit(model, tiny_sounds.Noises())
    assert samples.clips == here / "samples" / "00000005" and samples.latest == here / "samples" / "00000005.png"
    assert [path.name for path in sorted(samples.clips.iterdir())] == [f"00{number}.wav" for number in range(8)]
    written = clips(samples.clips)
    assert np.array_equal(written, as_16_bit(model.sample(8, seed=0)))
    shown = np.asarray(Image.open(samples.latest))
    assert np.array_equal(shown, np.asarray(clips_picture(model.sample(8, seed=0), tiny_sounds.RATE)))
    fixed = LogSamples()
    torch.randn(3)
    fixed.on_validation_end(run, model)
    assert np.array_equal(clips(fixed.clips), written)
    model.generator.project.bias.data += 1
    fixed.on_validation_end(run, model)
    assert not np.array_equal(clips(fixed.clips), written)


def test_clips_show_the_classes_in_turn():
    model, samples = tiny_sounds.wavegan(n_critic=1, num_classes=3), LogSamples(num=4, seed=3)
    run = trainer(samples, limit_train_batches=1)
    run.fit(model, tiny_sounds.Noises())
    assert np.array_equal(clips(samples.clips), as_16_bit(model.sample(4, [0, 1, 2, 0], seed=3)))
    of_nine, run.datamodule.class_names = tiny_sounds.wavegan(num_classes=9), None
    other = LogSamples()
    other.on_validation_end(run, of_nine)
    assert len(clips(other.clips)) == 9  # every class once


def test_predicted_sounds_are_written_once(here):
    data, model = tiny_sounds.Noises(), tiny_sounds.wavegan()
    run = trainer(SavePredictions())
    made = torch.cat(run.predict(model, data))
    files = sorted((here / "predictions").iterdir())
    assert [file.name for file in files] == [f"{number:08d}.wav" for number in range(7)]
    assert np.array_equal(clips(here / "predictions"), as_16_bit(made))
    with pytest.raises(InputError, match=r"predictions holds files already.*the clips of two models.*default_root_dir"):
        trainer(SavePredictions()).predict(model, data)


def test_clips_that_are_not_finite_stop_the_run():
    model = tiny_sounds.wavegan()
    model.generator.project.bias.data[0] = torch.nan
    with pytest.raises(InputError, match="not finite"):
        trainer(LogSamples(), limit_train_batches=1).fit(model, tiny_sounds.Noises())


# ---- speed


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


# ---- losses that are not finite


class Explode(GAN):
    """A GAN whose generator's loss is NaN in batch 3, or whose weights are, which the loss tells a batch later."""

    def __init__(self, what: str) -> None:
        super().__init__((1, 4, 4), latent_dim=3, hidden=8, units=4)
        self.what = what
        given = self.loss.generator
        self.loss = self.loss._replace(
            generator=lambda fake: given(fake) * (torch.nan if self.what == "loss" and self.batches_seen == 3 else 1)
        )

    def training_step(self, batch, batch_idx) -> None:
        super().training_step(batch, batch_idx)
        if self.what == "weights" and self.batches_seen == 3:
            self.generator.hidden1.weight.data[0, 0] = torch.inf


@pytest.mark.parametrize("what", ["loss", "weights"])
def test_what_is_not_finite_stays_out_of_every_checkpoint(what, here):
    from lightning.pytorch.callbacks import ModelCheckpoint

    every = ModelCheckpoint(dirpath=here, filename="{step}", every_n_train_steps=1, save_top_k=-1)
    run = trainer(StopAtNonFiniteLoss(), every, enable_checkpointing=True)
    with pytest.raises(NonFiniteLoss) as raised:
        run.fit(Explode(what), Noise())
    kept = sorted(here.glob("*.ckpt"), key=lambda path: path.stat().st_mtime)
    assert len(kept) >= 3 and str(kept[-1]) in str(raised.value)
    for path in kept:
        assert all(value.isfinite().all() for value in torch.load(path, weights_only=True)["state_dict"].values())
    told = "the loss of Explode's generator is not finite at batch 3" if what == "loss" else "generator.hidden1.weight"
    assert told in str(raised.value) and "\n" not in str(raised.value)


def test_the_command_line_stops_at_a_loss_that_is_not_finite(here, capsys):
    fit("--trainer.max_epochs=1", "--run.name=good")
    good = run_folder(here) / "checkpoints" / "last.ckpt"
    with pytest.raises(SystemExit) as stop:
        fit("--model.lr=1e30", f"--init_from={good}", "--trainer.max_epochs=5")
    assert stop.value.code == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("lightning-gans")]
    assert line.startswith("lightning-gans: error: the loss of DCGAN's") and "is not finite at batch 0" in line
    assert main.__module__ == "lightning_gans.__main__"


def test_the_network_that_went_first_is_named():
    """D's infinite loss infects G within the same batch."""
    module = SimpleNamespace(
        networks={"g": "generator", "d": "discriminator"},
        update_order=["d", "g"],
        nonfinite_batch=torch.tensor([4, 4]),
    )
    run = SimpleNamespace(strategy=SimpleNamespace(reduce=lambda tensor, reduce_op: tensor), checkpoint_callbacks=[])
    with pytest.raises(NonFiniteLoss, match="discriminator is not finite at batch 4"):
        StopAtNonFiniteLoss().check(run, module)
    module.nonfinite_batch = torch.tensor([3, 4])
    with pytest.raises(NonFiniteLoss, match="generator is not finite at batch 3"):
        StopAtNonFiniteLoss().check(run, module)


# ---- vocoders


class Board(Logger):
    """Keeps what a W&B logger is sent."""

    name, version, save_dir = "board", "0", "runs"

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[str, list, dict]] = []

    def log_audio(self, key, audios, **options) -> None:
        self.sent.append((key, audios, options))

    log_image = log_audio

    def log_metrics(self, metrics, step=None) -> None:
        pass

    def log_hyperparams(self, *_, **__) -> None:
        pass


def heard(path: Path) -> np.ndarray:
    samples, rate = soundfile.read(path, dtype="int16")
    assert rate == 8000
    return samples


@pytest.mark.parametrize("num", [None, 1])
@pytest.mark.parametrize("name", ["melgan", "parallel_wavegan"])
def test_the_same_utterances_are_heard_at_each_validation(name, num, here):
    module = tiny_runs.build(name)
    data, board, keep, samples = tiny_runs.TinySpeech(module), Board(), Keep(), LogSamples(num)
    run = trainer(samples, keep, logger=board, max_epochs=2)
    run.fit(module, data)
    folder, count = Path("runs/board/0/samples"), num or 2  # of two that are held out
    numbers = [f"{i:03d}" for i in range(count)]
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["reference", *(f"0000000{step}{end}" for step in (4, 8) for end in ("", ".png"))]
    )
    held_out = [data.on_after_batch_transfer(batch, 0).audio for batch in data.val_dataloader()]
    assert [path.name for path in sorted((folder / "reference").iterdir())] == [f"{number}.wav" for number in numbers]
    for number, audio in zip(numbers, held_out, strict=False):
        assert np.array_equal(heard(folder / "reference" / f"{number}.wav"), as_16_bit_one(audio))
    for step, fakes in (("00000004", keep.fakes[:2]), ("00000008", keep.fakes[2:])):
        files = sorted((folder / step).iterdir())
        assert [path.name for path in files] == [f"{number}_generated.wav" for number in numbers]
        assert all(np.array_equal(heard(f), as_16_bit_one(fake)) for f, fake in zip(files, fakes, strict=False))
    shown = np.asarray(Image.open(folder / "00000008.png"))
    both = torch.cat([*held_out[:count], *keep.fakes[2 : 2 + count]])
    assert np.array_equal(shown, np.asarray(clips_picture(both, 8000, columns=count)))
    keys = [key for key, _, _ in board.sent]
    assert keys == ["val/references", "val/samples", "val/spectrograms", "val/samples", "val/spectrograms"]
    assert board.sent[0][1] == [str(folder / "reference" / f"{number}.wav") for number in numbers]
    assert board.sent[3][1] == [str(folder / "00000008" / f"{number}_generated.wav") for number in numbers]


def as_16_bit_one(audio: Tensor) -> np.ndarray:
    """What a file holds of (1, 1, T), which is not silent."""
    assert audio.shape[:2] == (1, 1) and audio.std() > 0
    return (audio[0, 0].clamp(-1, 1) * 32767).round().short().numpy()


def test_recordings_stand_above_what_was_made_of_them():
    real, fake = [torch.ones(1, 3), torch.ones(1, 5)], [2 * torch.ones(1, 2), 2 * torch.ones(1, 4)]
    shown = in_columns(real, fake)
    assert shown[:, 0].tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [2, 2, 0, 0, 0], [2, 2, 2, 2, 0]]
    assert in_columns(real * 20, fake * 20).shape == (64, 1, 5)


def test_predictions_and_speed_of_vocoders(here):
    module = tiny_runs.build("parallel_wavegan")
    data = tiny_runs.TinySpeech(module)
    run = trainer(SavePredictions())
    made = run.predict(module, data)
    files = sorted((here / "predictions").iterdir())
    assert [file.name for file in files] == ["00000000.wav", "00000001.wav"]
    assert all(np.array_equal(heard(f), as_16_bit_one(fake)) for f, fake in zip(files, made, strict=True))
    run = trainer(Throughput(), max_epochs=1)
    run.fit(module, tiny_runs.TinySpeech(module))
    each, seconds = (float(run.callback_metrics[f"perf/{key}_per_second"]) for key in ("samples", "audio_seconds"))
    assert seconds / each == pytest.approx(tiny_runs.FRAMES * 16 / 8000)
