import math

import numpy as np
import pytest
import soundfile
import torch

from lightning_gans.callbacks import media
from lightning_gans.callbacks.media import GAP, INK, PAPER, SPECTROGRAM_HEIGHT, WAVE_HEIGHT, WIDTH, clips_picture
from lightning_gans.errors import InputError

RATE, LENGTH = 16_000, 16_384
TIME = torch.arange(LENGTH, dtype=torch.float64) / RATE


def parts(audio: torch.Tensor, index: int = 0, columns: int = 1, rate: int = RATE) -> tuple[np.ndarray, np.ndarray]:
    """The waveform and the spectrogram of a clip in the picture, as (height, width, 3) bytes."""
    pixels = np.asarray(clips_picture(audio, rate))
    x, y = (WIDTH + GAP) * (index % columns), (WAVE_HEIGHT + SPECTROGRAM_HEIGHT + GAP) * (index // columns)
    cell = pixels[GAP + y :, GAP + x :][: WAVE_HEIGHT + SPECTROGRAM_HEIGHT, :WIDTH]
    return cell[:WAVE_HEIGHT], cell[WAVE_HEIGHT:]


def sine(frequency: float, amplitude: float = 1.0) -> torch.Tensor:
    return amplitude * torch.sin(2 * math.pi * frequency * TIME)[None, None].float()


def ink(waveform: np.ndarray, column: int = 128) -> list[int]:
    return np.flatnonzero((waveform[:, column] == INK).all(1)).tolist()


@pytest.mark.parametrize(
    ("num", "columns", "rows"), [(1, 1, 1), (3, 3, 1), (8, 4, 2), (16, 4, 4), (64, 8, 8), (70, 8, 8)]
)
def test_the_picture_is_a_grid(num, columns, rows):
    size = clips_picture(torch.zeros(num, 1, 512), RATE).size
    assert size == (columns * (WIDTH + GAP) + GAP, rows * (WAVE_HEIGHT + SPECTROGRAM_HEIGHT + GAP) + GAP + media.FOOT)


@pytest.mark.parametrize("frequency", [1000, 4000, 7000])
def test_a_tone_is_a_bright_line_with_low_frequencies_at_the_bottom(frequency):
    _, spectrogram = parts(sine(frequency))
    brightness = spectrogram[:, 128].sum(1)
    expected = (1 - frequency / (RATE / 2)) * SPECTROGRAM_HEIGHT
    assert abs(brightness.argmax() - expected) <= 1.5
    assert brightness[abs(np.arange(SPECTROGRAM_HEIGHT) - expected) > 6].max() < 60  # of 765


def test_colors_are_decibels_of_full_scale():
    """The top of magma at -10 dB and above; -50 dB, halfway to -90 dB, is its middle."""
    bottom, middle, top = (0, 0, 4), (183, 55, 121), (252, 253, 191)
    for amplitude, color in ((1.0, top), (10**-0.5, top), (10**-2.5, middle), (0.0, bottom)):
        _, spectrogram = parts(sine(1000, amplitude))
        brightest = spectrogram[spectrogram[:, 128].sum(1).argmax(), 128]
        assert np.abs(brightest.astype(int) - color).max() <= 5, amplitude


def test_the_waveform_is_on_a_scale_of_its_own():
    rows = {value: ink(parts(torch.full((1, 1, LENGTH), value))[0]) for value in (1.0, 0.5, 0.0, -1.0, 3.0)}
    assert rows == {1.0: [0], 0.5: [16], 0.0: [31, 32], -1.0: [63], 3.0: [0]}  # 63 rows from 1 to -1
    assert ink(parts(sine(1000, 0.5))[0]) == list(range(16, 48))


def test_a_click_is_in_the_same_column_of_both():
    audio = torch.zeros(1, 1, LENGTH)
    audio[..., 100 * 64 + 32] = 1  # a column is 64 samples
    waveform, spectrogram = parts(audio)
    assert [column for column in range(20, 256) if len(ink(waveform, column)) > 5] == [100]
    assert abs(spectrogram[60].sum(1).argmax() - 100) <= 1


def test_a_clip_looks_the_same_beside_others():
    quiet, loud = sine(500, 0.1), sine(3000)
    for alone, beside in zip(parts(quiet), parts(torch.cat([loud] * 5 + [quiet]), 5, 4), strict=True):
        assert np.array_equal(alone[12:], beside[12:])  # the number stands above


def test_channels_of_opposite_sign_do_not_cancel():
    both = torch.cat([sine(1000, 0.5), -sine(1000, 0.5)], 1)
    for mono, stereo in zip(parts(sine(1000, 0.5)), parts(both), strict=True):
        assert np.array_equal(mono, stereo)


def test_a_short_clip_and_a_slow_rate_fill_the_cell():
    waveform, spectrogram = parts(torch.rand(1, 1, 48) - 0.5, rate=8000)
    assert all((waveform[12:, column] == INK).all(1).any() for column in range(256))
    assert spectrogram.shape == (SPECTROGRAM_HEIGHT, WIDTH, 3)
    assert (parts(torch.zeros(1, 1, 48))[0][5] == PAPER).all(1)[20:].all()


@pytest.mark.parametrize("shape", [(0, 1, 16), (2, 16), (1, 1, 0)])
def test_what_cannot_be_drawn(shape):
    with pytest.raises(InputError, match=r"expected \(N, C, T\)"):
        clips_picture(torch.zeros(shape), RATE)


def test_clips_are_numbered_files(tmp_path, monkeypatch):
    audio = torch.tensor([[[0.0, 0.5, 1.0], [0.0, -0.5, -2.0]], [[0.25, 0.0, 0.0], [0.0, 0.0, 0.0]]])
    files = media.write_clips(tmp_path / "new" / "folder", audio, 8000)
    assert [file.name for file in files] == ["000.wav", "001.wav"]
    samples, rate = soundfile.read(files[0], dtype="int16")
    assert rate == 8000 and soundfile.info(files[0]).subtype == "PCM_16"
    assert samples.tolist() == [[0, 0], [16384, -16384], [32767, -32767]]
    named = media.write_clips(tmp_path, audio, 8000, ["a", "b"])
    assert [file.name for file in named] == ["a.wav", "b.wav"]
    monkeypatch.setattr(media, "write_wav", lambda *_: None)
    many = media.write_clips(tmp_path / "many", torch.zeros(1001, 1, 1), 8000)
    assert (many[0].name, many[-1].name) == ("0000.wav", "1000.wav")


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"000\.wav cannot be written"):
        media.write_clips(tmp_path / "file" / "x", torch.zeros(1, 1, 4), 8000)


def test_a_sequence_has_pauses_between_its_clips():
    audio = torch.tensor([[[1.0, 2.0]], [[3.0, 4.0]]])
    assert media.in_sequence(audio, 10, pause=0.3).tolist() == [[1, 2, 0, 0, 0, 3, 4]]
    assert media.in_sequence(audio[:1], 10).tolist() == [[1, 2]]
