"""Long runs: memory and open files after 2,000 updates with 20 validations are those after 200."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers.small_run import QUIET

UPDATES, EVERY = 2000, 100
RATE = 8000
WAVEGAN = [
    "--model=WaveGAN",
    "--model.length=1024",
    "--model.strides=[4,4,4]",
    "--model.width=2",
    "--model.n_critic=1",
    f"--model.sample_rate={RATE}",
    "--data=AudioFolder",
    "--data.folder=sounds",
    "--data.length=1024",
    f"--data.sample_rate={RATE}",
    "--data.batch_size=4",
    "--evaluation.metrics=[nn_self]",
]
MELGAN = [
    "--model=STFTMelGAN",
    f"--model.mel={{name: melgan, sample_rate: {RATE}, n_fft: 64, hop_length: 16, win_length: 64, n_mels: 8}}",
    "--model.ratios=[8,2]",
    "--model.width=2",
    "--model.blocks=2",
    "--model.stft_weight=0",
    "--model.discriminator_start=0",
    "--data=MelFolder",
    "--data.folder=sounds",
    "--data.crop=512",
    "--data.crops_per_file=20",
    "--data.batch_size=2",
    "--evaluation.metrics=[mel_l1]",
]
WATCH = [
    *QUIET,
    "--trainer.callbacks+=helpers.soaking.Watch",
    f"--trainer.max_steps={UPDATES}",
    "--trainer.check_val_every_n_epoch=null",
    f"--trainer.val_check_interval={EVERY}",
]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def soaked(tmp_path_factory) -> dict[str, list[tuple[int, float, int]]]:
    """Updates, MB and open files of both runs, which go side by side."""
    folder = tmp_path_factory.mktemp("soak")
    (folder / "sounds").mkdir()
    random, time = np.random.default_rng(0), np.arange(RATE) / RATE
    for number in range(40):
        sound = 0.4 * np.sin(2 * np.pi * random.uniform(200, 500) * time) + 0.02 * random.standard_normal(RATE)
        soundfile.write(folder / "sounds" / f"{number:02d}.wav", sound, RATE)
    here = Path(__file__).parent
    environment = {key: value for key, value in os.environ.items() if key != "WANDB_SERVICE"} | {
        "PYTHONPATH": os.pathsep.join([str(here.parents[1]), str(here.parent)]),
        "WANDB_MODE": "offline",
        "LIGHTNING_GANS_DATA": str(folder),
        "LIGHTNING_GANS_CACHE": str(folder / "cache"),
    }
    runs = {}
    for name, options in {"wavegan": WAVEGAN, "melgan": MELGAN}.items():
        (folder / name).mkdir()
        runs[name] = subprocess.Popen(
            [sys.executable, "-m", "lightning_gans", "fit", *options, *WATCH],
            cwd=folder / name,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    try:
        for run in runs.values():
            said = run.communicate(timeout=900)[0]
            assert run.returncode == 0, said
    finally:
        for run in runs.values():
            run.kill()
    return {name: list(map(json.loads, (folder / name / "soak.jsonl").read_text().splitlines())) for name in runs}


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="reads /proc, and trims the heap of glibc")
@pytest.mark.parametrize("name", ["wavegan", "melgan"])
def test_memory_and_open_files_stay(soaked, name):
    updates, memory, files = zip(*soaked[name], strict=True)
    assert updates == tuple(range(EVERY, UPDATES + 1, EVERY))
    assert memory[-1] <= 1.05 * memory[1], memory
    assert files[-1] <= files[1], files
