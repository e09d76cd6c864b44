import numpy as np
import pytest
import torch
from helpers import tiny_runs, tiny_sounds
from helpers.small_trainer import Noise, as_16_bit, tiny, trainer, wav_files
from PIL import Image

from lightning_gans.callbacks.predictions import SavePredictions
from lightning_gans.errors import InputError


def test_predictions_are_written_once(here):
    data, model = Noise(), tiny()
    torch.nn.init.ones_(model.generator.hidden1.bias)  # two latents that turn all units off make the same image
    trainer(SavePredictions()).predict(model, data)
    files = sorted((here / "predictions").iterdir())
    assert [file.name for file in files] == [f"{number:08d}.png" for number in range(30)]
    assert len({file.read_bytes() for file in files}) == 30 and Image.open(files[0]).size == (4, 4)
    with pytest.raises(InputError, match=r"predictions holds files already.*default_root_dir"):
        trainer(SavePredictions()).predict(model, data)


def test_predicted_sounds_are_written_once(here):
    data, model = tiny_sounds.Noises(), tiny_sounds.wavegan()
    run = trainer(SavePredictions())
    made = torch.cat(run.predict(model, data))
    files = sorted((here / "predictions").iterdir())
    assert [file.name for file in files] == [f"{number:08d}.wav" for number in range(7)]
    assert np.array_equal(wav_files(here / "predictions"), as_16_bit(made))
    with pytest.raises(InputError, match=r"predictions holds files already.*the clips of two models.*default_root_dir"):
        trainer(SavePredictions()).predict(model, data)


def test_predicted_utterances(here):
    module = tiny_runs.build("parallel_wavegan")
    data = tiny_runs.TinySpeech(module)
    run = trainer(SavePredictions())
    made = run.predict(module, data)
    files = sorted((here / "predictions").iterdir())
    assert [file.name for file in files] == ["00000000.wav", "00000001.wav"]
    assert np.array_equal(wav_files(here / "predictions"), as_16_bit(torch.cat(made)))
