"""Small vocoders on real speech, for 200 updates of the generator; the discriminator begins after 160."""

import pytest
import torch
from lightning import Callback, Trainer

from lightning_gans.audio import MelConfig
from lightning_gans.data import LJSpeech
from lightning_gans.metrics.spectral import MelL1
from lightning_gans.models import ParallelWaveGAN, STFTMelGAN
from lightning_gans.training.vocoder import Vocoder

UPDATES, START = 200, 160


def melgan() -> STFTMelGAN:
    small = dict(width=4, blocks=1, normalize=False, loss="hinge", adversarial_weight=1.0)
    return STFTMelGAN(**small, discriminator_start=START, lr=1e-3)


def parallel_wavegan() -> ParallelWaveGAN:
    small = dict(layers=4, stacks=1, residual_channels=16, gate_channels=32, skip_channels=16)
    return ParallelWaveGAN("ljspeech", **small, discriminator_start=START, lr_g=2e-3)


class Judged(Callback):
    """Names of the losses at each update."""

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.seen = [*getattr(self, "seen", []), "train/loss_d" in trainer.callback_metrics]


def held_out(module: Vocoder, data: LJSpeech) -> float:
    metric = MelL1(module.mel_config)
    with torch.no_grad():
        for batch in data.val_dataloader():
            batch = data.on_after_batch_transfer(batch, 0)
            metric.update(batch.audio, module.eval().generate(batch), None)
    module.train()
    return metric.compute().item()


@pytest.mark.parametrize("build", [melgan, pytest.param(parallel_wavegan, marks=pytest.mark.slow)])
def test_held_out_speech_comes_nearer(build, data_root):
    torch.manual_seed(0)
    module, judged = build(), Judged()
    data = LJSpeech(
        str(data_root),
        complete=False,
        mel=MelConfig.of("parallel_wavegan").hparams(),
        context=module.context,
        crop=2560,
        val_pattern="^LJ050-0030",
        crops_per_file=20,
        batch_size=2,
    )
    data.prepare_data()
    data.setup("fit")
    before = {}

    class Before(Callback):
        def on_train_start(self, trainer, module):
            before["mel_l1"] = held_out(module, data)

    Trainer(
        max_steps=UPDATES,
        callbacks=[Before(), judged],
        limit_val_batches=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
    ).fit(module, data)
    after = held_out(module, data)
    assert judged.seen == [False] * START + [True] * (UPDATES - START)
    assert after < 0.7 * before["mel_l1"]
