"""What every vocoder shares: its mel convention, the statistics of its features, and ``vocode``."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, NoReturn, cast, overload

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor
from torch.nn.functional import pad
from torch.nn.utils.parametrize import cached

from lightning_gans.audio import MelConfig, difference, log_mel, unlikely
from lightning_gans.data.batches import MelBatch
from lightning_gans.errors import InputError
from lightning_gans.training.adversarial_module import AdversarialModule
from lightning_gans.training.noise import seeded
from lightning_gans.training.nonfinite import require_finite
from lightning_gans.training.statistics import training_statistics

EVALUATION_SEED = 0
CPU_SECONDS = 10
"""Of sound that a CPU works on at a time: more would be no faster, and take more memory with each second."""
MOST_CHANNELS = 32
"""Of a recording; no sound has so few samples."""
SHORTEST_SOUND = 1000
"""Samples; a single frame has fewer bands."""
Mel = Tensor | np.ndarray


class Vocoder(AdversarialModule):
    """Base of the papers that turn a log-mel spectrogram into sound.

    A paper calls ``super().__init__(mel)``, sets ``receptive_frames`` and, where it has them, ``context`` and
    ``min_frames``, and writes ``forward``, ``training_step`` and ``configure_optimizers``. ``forward`` takes mels in
    the convention, applies ``normalized`` itself, and takes noise (B, 1, T) as a second argument where ``takes_noise``.

    Args:
        mel: What ``MelConfig.of`` takes.
        normalize: Measure the features of the training set when training begins, unless their statistics came with the
            weights.
    """

    context: int = 0
    """Frames beyond the audio on either side of a batch's mel."""
    receptive_frames: int = 0
    """Frames on either side which, with ``context``, decide a frame's samples: what a chunk needs beyond itself."""
    min_frames: int = 1
    """Fewest frames that ``vocode`` takes."""
    takes_noise: ClassVar[bool] = False

    mel_mean: Tensor
    mel_scale: Tensor

    def __init__(self, mel: str | dict[str, Any] | MelConfig, normalize: bool = False) -> None:
        super().__init__()
        self.mel_config, self.normalize = MelConfig.of(mel), normalize
        self.sample_rate = self.mel_config.sample_rate
        # Of each band; the identity where they are not used, or not yet known.
        self.register_buffer("mel_mean", torch.zeros(self.mel_config.n_mels))
        self.register_buffer("mel_scale", torch.ones(self.mel_config.n_mels))

    # ---- features

    @classmethod
    def data_options(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """What a DataModule has to make for the model of these arguments: its ``mel`` and ``context``."""
        return {"mel": options["mel"], "context": cls.context}

    def normalized(self, mel: Tensor) -> Tensor:
        """Mels (B, M, L) of the convention, in the model's precision, without each band's mean and deviation."""
        return (mel.to(self.mel_mean.dtype) - self.mel_mean[:, None]) / self.mel_scale[:, None]

    @property
    def is_measured(self) -> bool:
        """Whether the statistics are known."""
        return bool(self.mel_mean.any()) or bool((self.mel_scale != 1).any())

    def measure(self) -> None:
        """Mean and deviation of each band over all frames of the training set, see ``training_statistics``."""

        def frames(batch: MelBatch) -> Tensor:
            inside = batch.mel[..., self.context : batch.mel.shape[-1] - self.context]
            return inside.transpose(1, 2).flatten(0, 1)

        mean, deviation = training_statistics(self, frames)
        self.mel_mean.copy_(mean)
        self.mel_scale.copy_(deviation)

    @torch.no_grad()
    def mel(self, audio: Tensor | np.ndarray) -> Tensor:
        """The very features that the model is trained on: one frame per whole hop, not normalized.

        Args:
            audio: (B, 1, T), (B, T) or (T,), in [-1, 1], at the model's ``sample_rate``.

        Returns:
            (B, M, L), or (M, L) for (T,); L = T / hop_length, rounded down.

        Raises:
            InputError: for another shape, or fewer samples than a frame takes.
        """
        audio = torch.as_tensor(audio, device=self.device)
        if audio.dim() == 2 and audio.shape[1] <= MOST_CHANNELS < audio.shape[0]:
            raise InputError(
                f"the audio has shape {tuple(audio.shape)}, (T, C) as of soundfile; give the mean of its channels,"
                " audio.mean(1)"
            )
        if audio.dim() > 3 or audio.dim() == 0 or (audio.dim() == 3 and audio.shape[1] != 1):
            raise InputError(f"the audio has shape {tuple(audio.shape)}; expected mono: (B, 1, T), (B, T) or (T,)")
        if audio.dim() == 3:
            audio = audio[:, 0]
        return log_mel(audio, self.mel_config)[..., : audio.shape[-1] // self.mel_config.hop_length]

    # ---- synthesis

    @overload
    def vocode(self, mel: Mel, seed: int | None = None, chunk_frames: int | None = None) -> Tensor: ...

    @overload
    def vocode(self, mel: Sequence[Mel], seed: int | None = None, chunk_frames: int | None = None) -> list[Tensor]: ...

    @torch.no_grad()
    def vocode(
        self, mel: Mel | Sequence[Mel], seed: int | None = None, chunk_frames: int | None = None
    ) -> Tensor | list[Tensor]:
        """Turn log-mel features into sound, with weight norm folded for the duration of the call.

        Args:
            mel: Features in the model's convention, not normalized: a tensor (B, M, L) or (M, L), or a numpy array
                (L, M), as text-to-speech systems save them; or a list of these, of any lengths.
            seed: Of the noise, where the model takes any: the same seed gives the same sound on every device; None for
                new noise at each call.
            chunk_frames: How many frames to work on at a time, which bounds the memory; the sound is the same to
                rounding. When not given all at once, and on a CPU ten seconds.

        Returns:
            (B, 1, T), T = L * hop_length, float32 on the module's device; B is 1 for a single mel. A list of what each
            would give alone, for a list.

        Raises:
            InputError: for another number of bands, axes in another order, values that are not finite, too few frames;
                for sound that is not finite, as damaged weights make it.
        """
        if isinstance(mel, list | tuple):
            return [self.vocode(one, seed, chunk_frames) for one in mel]
        with cached():
            return torch.cat([*self.vocode_pieces(cast(Mel, mel), seed, chunk_frames)], -1)

    @torch.no_grad()
    def vocode_pieces(self, mel: Mel, seed: int | None = None, chunk_frames: int | None = None) -> Iterator[Tensor]:
        """What ``vocode`` gives, one chunk (B, 1, T) after the other, so that hours of sound need not be in memory.

        Args:
            mel: As ``vocode``; no list.
            seed: As ``vocode``.
            chunk_frames: As ``vocode``.

        Raises:
            InputError: as ``vocode``; for what is wrong with the mel, before the first chunk.
        """
        mel = self._checked(mel)
        frames, hop, margin = mel.shape[-1], self.mel_config.hop_length, self.receptive_frames
        step = self._chunk(frames) if chunk_frames is None else chunk_frames
        if step < 1:
            raise InputError(f"chunk_frames is {chunk_frames}; expected at least 1")
        noise = self.noise(len(mel), frames * hop, seed)
        mel = pad(mel, (self.context, self.context), mode="replicate")
        for start in range(0, frames, step):
            first, last = max(start - margin, 0), min(start + step + margin, frames)
            inputs = [mel[..., first : last + 2 * self.context]]
            with cached():
                audio = self(*inputs, *([] if noise is None else [noise[..., first * hop : last * hop]]))
            yield require_finite(audio[..., (start - first) * hop :][..., : step * hop].float(), self)

    def _chunk(self, frames: int) -> int:
        """Frames to work on at a time, where that was not said."""
        on_cpu = math.ceil(CPU_SECONDS * self.sample_rate / self.mel_config.hop_length)
        return on_cpu if self.device.type == "cpu" else frames

    def noise(self, num: int, samples: int, seed: int | None = None) -> Tensor | None:
        """(num, 1, samples) from N(0, 1), drawn on the CPU in float32 so that a seed means the same everywhere.

        None for models that take none.
        """
        if not self.takes_noise:
            return None
        return self.drawn(torch.randn, num, 1, samples, generator=seeded(seed)).to(self.mel_mean)

    def fresh_noise(self, mel: Tensor) -> Tensor:
        """Noise (B, 1, T) for mels (B, M, L + 2 * context), of the generator and the device that a run draws from."""
        return self.drawn(torch.randn, len(mel), 1, self._samples(mel))

    def _samples(self, mel: Tensor) -> int:
        """T of the audio of mels with context."""
        return self.mel_config.samples(mel.shape[-1] - 2 * self.context)

    def generate(self, batch: MelBatch) -> Tensor:
        """Audio (B, 1, T) for a batch's mels; noise is fresh in training, and otherwise the same for each utterance."""
        noise = None if self.training else self.noise(1, self._samples(batch.mel), EVALUATION_SEED)
        return self(batch.mel) if noise is None else self(batch.mel, noise.expand(len(batch.mel), -1, -1))

    def check_shape(self, given: tuple[int, ...], is_array: bool) -> None:
        """Look at the shape of a mel, as ``vocode`` takes it: a numpy array's, or a tensor's.

        Raises:
            InputError: as ``vocode``.
        """
        bands, name = self.mel_config.n_mels, type(self).__name__
        expected = f"(L, {bands}) as numpy" if is_array else f"(B, {bands}, L) or ({bands}, L)"
        if math.prod(given) == max(given, default=0) >= SHORTEST_SOUND:
            raise InputError(f"the mel has shape {given}, which is sound; {name} takes {expected}: use mel(audio)")
        if len(given) not in ((2,) if is_array else (2, 3)):
            raise InputError(f"the mel has shape {given}; {name} takes {expected}")
        axes = given if is_array else given[-2:][::-1]  # frames, bands
        if axes[1] != bands:
            swapped = "; its axes are swapped: transpose it" if axes[0] == bands else ""
            raise InputError(
                f"the mel has shape {given}, so {axes[1]} bands; {name} takes {expected}, in the convention"
                f" {self.mel_config.name}{swapped}"
            )
        if axes[0] < self.min_frames:
            least = self.mel_config.samples(self.min_frames) / self.sample_rate
            raise InputError(
                f"the mel has {axes[0]} frames; {name} takes at least {self.min_frames}, {1000 * least:.0f} ms: give a"
                " longer sound, or repeat the outermost frames"
            )

    def _checked(self, mel: Mel) -> Tensor:
        """What ``vocode`` takes, as (B, M, L) on the module's device."""
        is_array = isinstance(mel, np.ndarray)
        if not is_array and not isinstance(mel, Tensor):
            raise InputError(f"the mel is a {type(mel).__name__}; expected a tensor, a numpy array, or a list of these")
        self.check_shape(tuple(np.shape(mel)), is_array)
        if isinstance(mel, np.ndarray):  # of whatever byte order
            mel = mel.astype(np.float32, copy=False)
        mel = torch.as_tensor(mel, dtype=torch.float32, device=self.device)
        mel = mel.T if is_array else mel
        mel = mel if mel.dim() == 3 else mel[None]
        wrong = (~mel.isfinite()).flatten(0, 1).any(0).nonzero().flatten().tolist()
        if wrong:
            raise InputError(
                f"the mel is not finite in {len(wrong)} of {mel.shape[-1]} frames, first in frame {wrong[0]}; make it"
                " again, with a floor under the logarithm"
            )
        warning = unlikely(mel, self.mel_config)
        if warning:
            rank_zero_warn(warning)
        return mel

    # ---- training

    def on_fit_start(self) -> None:
        super().on_fit_start()
        if self.normalize and not self.is_measured:
            self.measure()

    def setup(self, stage: str) -> None:
        self._check_mel(self.trainer.datamodule)
        super().setup(stage)

    def _check_mel(self, data: Any) -> None:
        """Compare conventions; a training whose features differ would go through, and its model be of no use."""
        name, source = type(self).__name__, type(data).__name__
        given = getattr(data, "mel", None)
        if given is None:
            if hasattr(data, "audio_shape") or hasattr(data, "image_shape"):
                raise InputError(
                    f"{source} hands out no mels, and {name} takes them; use a data set of speech with mels"
                )
            return
        given = MelConfig.of(given)
        apart = difference(given, self.mel_config)
        if apart:
            raise InputError(
                f"the mels of {source} ({given.name}) are not those of {name} ({self.mel_config.name}): {apart}; give"
                " --data.mel and --model.mel the same"
            )
        context = getattr(data, "context", self.context)
        if context != self.context:
            raise InputError(
                f"the mels of {source} have {context} frames of context on either side, and {name} takes"
                f" {self.context}; use --data.context {self.context}"
            )

    # ---- a vocoder does not start from noise alone

    def sample(self, *_: Any, **__: Any) -> NoReturn:
        """Vocoders have nothing to sample.

        Raises:
            InputError: always.
        """
        raise InputError(
            f"{type(self).__name__} makes sound from a mel spectrogram, not from noise; use vocode: lightning-gans"
            " vocode NAME in.wav out.wav, or vocode(mel)"
        )

    prior = latents = sample_from = sample
