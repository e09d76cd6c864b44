"""Fine-tuning a released vocoder: five clips of another loudness, and how near it comes to held-out ones."""

import pytest
import soundfile
import torch
from helpers.tiny_runs import fit

from lightning_gans import zoo
from lightning_gans.data.mels.folder import MelFolder
from lightning_gans.metrics.spectral import MelL1
from lightning_gans.models import HiFiGAN

RELEASED = "hifigan_ljspeech"
GAIN = 0.02
TRAINED = ("LJ001-0002", "LJ001-0006", "LJ001-0008", "LJ001-0013", "LJ001-0021")
HELD_OUT = "LJ050-0033"
SECONDS = 2


def held_out(module: HiFiGAN, data: MelFolder) -> float:
    metric = MelL1(module.mel_config)
    with torch.no_grad():
        for batch in data.val_dataloader():
            batch = data.on_after_batch_transfer(batch, 0)
            metric.update(batch.audio, module.eval().generate(batch), None)
    module.train()
    return metric.compute().item()


def test_five_clips_of_another_loudness(data_root, tmp_path):
    """34 dB below those that the released model was trained on, and a discriminator that knows nothing yet."""
    if zoo.local(zoo.card(RELEASED)) is None:
        pytest.skip("needs the extra pretrained")
    for name in (*TRAINED, HELD_OUT):
        audio, rate = soundfile.read(data_root / "LJSpeech-1.1" / "wavs" / f"{name}.wav")
        soundfile.write(tmp_path / f"{name}.wav", GAIN * audio[: SECONDS * rate], rate, subtype="FLOAT")
    torch.manual_seed(0)
    module = HiFiGAN(lr=2e-5, discriminator_width=1 / 32)
    assert zoo.init_from(module, RELEASED) == ["discriminator"]
    crops = dict(crop=2048, batch_size=1)
    data = MelFolder(str(tmp_path), mel=module.hparams.mel, val_pattern=HELD_OUT, **crops)
    data.prepare_data()
    data.setup("fit")
    before = held_out(module, data)
    fit(module, data, max_steps=16)
    after = held_out(module, data)
    assert after < 0.95 * before, (before, after)
