from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import tiny_runs, tiny_sounds
from helpers.small_trainer import Keep, Noise, as_16_bit, tiny, trainer, varied, wav_files
from lightning.pytorch.loggers import Logger
from PIL import Image

from lightning_gans.callbacks.media import clips_picture
from lightning_gans.callbacks.samples import LogSamples, in_columns
from lightning_gans.errors import InputError
from lightning_gans.models import CGAN


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


def test_the_same_weights_give_the_same_clips(here):
    model, samples = tiny_sounds.wavegan(n_critic=1), LogSamples()
    run = trainer(samples)
    run.fit(model, tiny_sounds.Noises())
    assert samples.clips == here / "samples" / "00000005" and samples.latest == here / "samples" / "00000005.png"
    assert [path.name for path in sorted(samples.clips.iterdir())] == [f"00{number}.wav" for number in range(8)]
    written = wav_files(samples.clips)
    assert np.array_equal(written, as_16_bit(model.sample(8, seed=0)))
    shown = np.asarray(Image.open(samples.latest))
    assert np.array_equal(shown, np.asarray(clips_picture(model.sample(8, seed=0), tiny_sounds.RATE)))
    fixed = LogSamples()
    torch.randn(3)
    fixed.on_validation_end(run, model)
    assert np.array_equal(wav_files(fixed.clips), written)
    model.generator.project.bias.data += 1
    fixed.on_validation_end(run, model)
    assert not np.array_equal(wav_files(fixed.clips), written)


def test_clips_show_the_classes_in_turn():
    model, samples = tiny_sounds.wavegan(n_critic=1, num_classes=3), LogSamples(num=4, seed=3)
    run = trainer(samples, limit_train_batches=1)
    run.fit(model, tiny_sounds.Noises())
    assert np.array_equal(wav_files(samples.clips), as_16_bit(model.sample(4, [0, 1, 2, 0], seed=3)))
    of_nine, run.datamodule.class_names = tiny_sounds.wavegan(num_classes=9), None
    other = LogSamples()
    other.on_validation_end(run, of_nine)
    assert len(wav_files(other.clips)) == 9  # every class once


def test_clips_that_are_not_finite_stop_the_run():
    model = tiny_sounds.wavegan()
    model.generator.project.bias.data[0] = torch.nan
    with pytest.raises(InputError, match="not finite"):
        trainer(LogSamples(), limit_train_batches=1).fit(model, tiny_sounds.Noises())


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


@pytest.mark.parametrize(("name", "num"), [("melgan", None), ("parallel_wavegan", 1)])
def test_the_same_utterances_are_heard_at_each_validation(name, num):
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
    assert np.array_equal(wav_files(folder / "reference"), as_16_bit(torch.cat(held_out[:count])))
    for step, fakes in (("00000004", keep.fakes[:2]), ("00000008", keep.fakes[2:])):
        files = sorted((folder / step).iterdir())
        assert [path.name for path in files] == [f"{number}_generated.wav" for number in numbers]
        assert np.array_equal(wav_files(folder / step), as_16_bit(torch.cat(fakes[:count])))
    shown = np.asarray(Image.open(folder / "00000008.png"))
    both = torch.cat([*held_out[:count], *keep.fakes[2 : 2 + count]])
    assert np.array_equal(shown, np.asarray(clips_picture(both, 8000, columns=count)))
    keys = [key for key, _, _ in board.sent]
    assert keys == ["val/references", "val/samples", "val/spectrograms", "val/samples", "val/spectrograms"]
    assert board.sent[0][1] == [str(folder / "reference" / f"{number}.wav") for number in numbers]
    assert board.sent[3][1] == [str(folder / "00000008" / f"{number}_generated.wav") for number in numbers]


def test_recordings_stand_above_what_was_made_of_them():
    real, fake = [torch.ones(1, 3), torch.ones(1, 5)], [2 * torch.ones(1, 2), 2 * torch.ones(1, 4)]
    shown = in_columns(real, fake)
    assert shown[:, 0].tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [2, 2, 0, 0, 0], [2, 2, 2, 2, 0]]
    assert in_columns(real * 20, fake * 20).shape == (64, 1, 5)
