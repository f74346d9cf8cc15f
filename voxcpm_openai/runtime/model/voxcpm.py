"""VoxCPM (0.5B, 1.5): from text and a clip to latents, patch by patch, and from these to samples.

    sequence   text of the clip + text, 101, patches of the clip
    a patch    last patch -> LocEnc -> base LM -> quantisation -> residual LM -> states of both LMs
               LocDiT (the states, last patch) -> patch

arXiv:2509.24650.  The first patch of a stream needs the states that its prefill left; what comes
after the last one, nobody needs.  So the language models hear a patch when the next one is made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from voxcpm_openai.runtime.checkpoint import Weights
from voxcpm_openai.runtime.model.config import ModelConfig
from voxcpm_openai.runtime.model.flow import Flow
from voxcpm_openai.runtime.model.linear import linear
from voxcpm_openai.runtime.model.lm import Stack
from voxcpm_openai.runtime.model.local import LocalEncoder
from voxcpm_openai.runtime.model.state import AUDIO, Prefix, Prompt, Rows, Slots, Texts
from voxcpm_openai.runtime.model.vae import Decoder, Encoder
from voxcpm_openai.runtime.tokenizer import TextTokenizer

AUDIO_START = 101  # the token after which speech begins

# A part of a sequence: ids of tokens, or what LocEnc made of patches [T, W].
Part = list[int] | Tensor


class VoxCPM:
    """A loaded model.  It holds weights alone; all that changes is in ``Slots``.

    Shapes: B rows, T tokens or patches, P frames a patch, C channels of a frame, W width of the
    language models, W' of LocDiT.  Latents, noise and samples are float32 whatever the dtype.
    """

    separate_time = False  # LocDiT's time is added to its condition
    context = 2  # patches of the prompt that the decoder hears before it speaks

    def __init__(
        self, config: ModelConfig, weights: Weights, vae: Weights, tokenizer: TextTokenizer
    ) -> None:
        self.config = config
        self.tokens = tokenizer
        self.device, self.dtype, self.int8 = weights.device, weights.dtype, weights.int8
        self.ops = weights.ops
        width, inner, positions = config.base.width, config.dit.width, config.max_length
        self.embedding = weights.tensor(
            "base_lm.embed_tokens.weight", config.vocabulary, width
        ).mul_(config.embedding_scale)  # [V, W]
        self.base = Stack(weights.under("base_lm"), config.base, positions)
        self.residual = Stack(weights.under("residual_lm"), config.residual, positions)
        self.local = LocalEncoder(weights, config)
        self.flow = Flow(weights, config, separate_time=self.separate_time)
        self.to_levels = linear(weights, "fsq_layer.in_proj", width, config.quantised)
        self.from_levels = linear(weights, "fsq_layer.out_proj", config.quantised, width)
        self.base_to_flow = linear(weights, "lm_to_dit_proj", width, inner)
        self.residual_to_flow = linear(weights, "res_to_dit_proj", width, inner)
        self.stop_inner = linear(weights, "stop_proj", width, width)
        self.stop_head = linear(weights, "stop_head", width, 2, bias=False)
        self.encoder = Encoder(vae, config.vae)
        self.decoder = Decoder(vae, config.vae)

    @property
    def sample_rate(self) -> int:
        """Samples a second of what ``decode`` returns."""
        return self.config.vae.sample_rate

    @property
    def encoder_rate(self) -> int:
        """Samples a second of what ``encode`` takes."""
        return self.config.vae.encoder_rate

    @property
    def patch_samples(self) -> int:
        """Samples of one patch at ``sample_rate``."""
        return self.config.patch * self.config.vae.frame_out

    @property
    def latent_shape(self) -> tuple[int, int]:
        """Frames a patch and channels of a frame, (P, C)."""
        return self.config.patch, self.config.channels

    def new_slots(self, slots: int, length: int) -> Slots:
        """Return the state of so many streams with ``length`` positions each."""
        if not 0 < length <= self.config.max_length:
            raise ValueError(f"length is {length}; this model has {self.config.max_length}.")
        return Slots(self.config, self.decoder.memory, slots, length, self.device, self.dtype)

    @torch.inference_mode()
    def encode(self, samples: Tensor, *, reference: bool = False) -> Tensor:
        """Turn a clip ``samples [N]`` at ``encoder_rate`` into latents ``[T, P, C]``.

        A prompt is filled up with silence in front, because speech goes on at its end; a reference
        behind.  Keeps no state: any thread may call it.
        """
        whole = self.config.patch * self.config.vae.frame_in
        missing = -samples.shape[0] % whole
        padded = F.pad(samples, (0, missing) if reference else (missing, 0))  # [T P frame_in]
        frames = self.encoder(padded)  # [C, T P]
        return frames.T.reshape(-1, *self.latent_shape)  # [T, P, C]

    @torch.inference_mode()
    def prompt(self, latents: Tensor) -> Prompt:
        """Hear a prompt ``[T, P, C]`` once for all the texts that go on from it."""
        latents = latents.to(self.device)
        alone = self.new_slots(1, 1)
        last = latents[-self.context :].flatten(0, 1)  # [context P, C]
        self.decoder(last.T[None], alone.memory, slice(0, 1))
        return Prompt(latents[-1], self.local(latents), alone.remembered(0))

    @torch.inference_mode()
    def prefill(
        self,
        slots: Slots,
        slot: int,
        ids: Sequence[int],
        prompt: Tensor | Prompt | None = None,
        reference: Tensor | Prefix | None = None,
    ) -> None:
        """Begin a stream in a slot, as ``arrive`` does, and read its prompt at once."""
        self._read(slots, slot, self.arrive(slots, slot, ids, prompt, reference))

    @torch.inference_mode()
    def arrive(
        self,
        slots: Slots,
        slot: int,
        ids: Sequence[int],
        prompt: Tensor | Prompt | None = None,
        reference: Tensor | Prefix | None = None,
    ) -> list[Part]:
        """Begin a stream in a slot, whatever was there before; return what is still to be read.

        ``ids``: tokens of the prompt's text, if there is a prompt, and of the text to speak.
        ``prompt [T, P, C]``: a clip that the speech goes on from.  ``reference``: VoxCPM2 alone.
        """
        if isinstance(prompt, Tensor):
            prompt = self.prompt(prompt)
        parts = self._parts(list(ids), prompt, reference)
        slots.reset(slot)
        if isinstance(reference, Prefix):
            slots.restore(slot, reference)
        if prompt is not None:
            slots.go_on(slot, prompt)
        return parts

    @torch.inference_mode()
    def step(
        self, slots: Slots, rows: Sequence[int], noise: Tensor, steps: Sequence[int], cfg: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Make the next patch of the streams in the slots ``rows``.

        ``noise [B, C, P]``: normal, and ``cfg [B]``: guidance, on any device.  ``steps``: of the
        solver, 2 or more, for each row.  Returns the patches ``[B, P, C]``, and whether each is the
        last one of its stream, ``[B]`` bool: upstream believes that from a fourth patch on.
        """
        if unheard := [slot for slot in rows if slots.unheard[slot]]:
            self.hear(slots, slots.rows(unheard))
            slots.heard(unheard)
        index = slots.index(rows)
        patches = self.speak(
            slots,
            index,
            lambda condition, before: self.flow(noise, condition, before, steps, cfg),
        )  # [B, P, C]
        slots.spoke(rows)
        return patches, slots.stops[index]  # [B, P, C], [B]

    @torch.inference_mode()
    def hear(self, slots: Slots, at: Rows, texts: Texts | None = None) -> None:
        """Tell both language models the last patch of these rows; keep the states that follow.

        ``texts``: tokens of prompts that are read beside, whose rows come behind in ``at``.
        Runs on the device alone: what the host knows of the slots is not changed.
        """
        heard = self.local(slots.patch[at.heard])  # [H, W]
        if texts is None:
            hidden = self._quantised(self.base.step(heard, slots.base, at))  # [B, W]
        else:
            text = (texts.ids != AUDIO)[:, None]  # [N, 1]
            words = self.embedding[texts.ids.clamp_min(0)]  # [N, W]
            x = torch.cat((heard, torch.where(text, words, texts.audio)))  # [B, W]
            text = torch.cat((text.new_zeros(len(heard), 1), text))  # [B, 1]
            y = self.base.step(x, slots.base, at)  # [B, W]
            hidden = torch.where(text, y, self._quantised(y))  # [B, W]
            heard = x.masked_fill(text, 0)  # [B, W]
        detail = self.residual.step(self._mixed(hidden, heard), slots.residual, at)  # [B, W]
        slots.hidden[at.into] = hidden  # [B, W]
        slots.detail[at.into] = detail  # [B, W]
        slots.stops[at.into] = self._stops(hidden)  # [B]
        slots.positions[at.into] = at.after  # [B]

    @torch.inference_mode()
    def speak(
        self, slots: Slots, index: slice | Tensor, solve: Callable[[Tensor, Tensor], Tensor]
    ) -> Tensor:
        """Make, keep and return the next patch ``[B, P, C]`` of the rows that ``index`` picks.

        ``solve``: makes patches ``[B, P, C]`` of conditions ``[B, M, W']`` and the patches before.
        Runs on the device alone, as ``hear`` does.
        """
        condition = self._condition(slots.hidden[index], slots.detail[index])  # [B, M, W']
        patch = solve(condition, slots.patch[index])  # [B, P, C]
        slots.patch[index] = patch  # [B, P, C]
        return patch

    @torch.inference_mode()
    def decode(self, slots: Slots, rows: Sequence[int], latents: Tensor) -> Tensor:
        """Turn the next patches ``[B, P, C]`` of these streams into ``[B, patch_samples]``."""
        frames = latents.to(self.device).transpose(1, 2)  # [B, C, P]
        return self.decoder(frames, slots.memory, slots.index(rows))  # [B, patch_samples]

    def _parts(
        self, ids: list[int], prompt: Prompt | None, reference: Tensor | Prefix | None
    ) -> list[Part]:
        """The sequence, less what a prefix holds already."""
        if reference is not None:
            raise ValueError("VoxCPM-0.5B and 1.5 take no reference; give the clip as a prompt.")
        text: Part = [*ids, AUDIO_START]
        return [text] if prompt is None else [text, prompt.tokens]

    def _read(self, slots: Slots, slot: int, parts: list[Part]) -> None:
        """Run the parts through both language models, behind what the slot holds."""
        pieces = [self._embedded(part) for part in parts]  # [n, W] each
        x = torch.cat(pieces)  # [T, W]
        is_audio = torch.cat(
            [
                torch.full((len(piece), 1), isinstance(part, Tensor))
                for part, piece in zip(parts, pieces, strict=True)
            ]
        ).to(self.device)  # [T, 1] bool
        start = slots.used[slot]
        slots.fill(slot, start + len(x))
        y = self.base.prefill(x, slots.base, slot, start)  # [T, W]
        hidden = torch.where(is_audio, self._quantised(y), y)  # [T, W]
        mixed = self._mixed(hidden, x * is_audio)  # [T, W]
        slots.hidden[slot] = hidden[-1]  # [W]
        slots.stops[slot] = self._stops(hidden[-1])  # []
        slots.detail[slot] = self.residual.prefill(mixed, slots.residual, slot, start)[-1]  # [W]

    def _embedded(self, part: Part) -> Tensor:
        """Return the tokens of a part, ``[n, W]``."""
        if isinstance(part, Tensor):
            return part
        return self.embedding[torch.tensor(part).to(self.device)]  # [n, W]

    def _quantised(self, x: Tensor) -> Tensor:
        """``x [..., W]`` through a bottleneck of few levels (FSQ, arXiv:2309.15505)."""
        levels = (torch.tanh(self.to_levels(x)) * self.config.levels).round()  # [..., Q]
        return self.from_levels(levels / self.config.levels)  # [..., W]

    def _mixed(self, hidden: Tensor, heard: Tensor) -> Tensor:
        """What the residual LM is told: the base LM's ``hidden [..., W]``, the audio's tokens."""
        return hidden + heard  # [..., W]

    def _stops(self, hidden: Tensor) -> Tensor:
        """Whether the patch that follows ``hidden [..., W]`` is the last one: ``[...]`` bool."""
        votes = self.stop_head(F.silu(self.stop_inner(hidden)))  # [..., 2]
        return votes[..., 1] > votes[..., 0]  # [...]

    def _condition(self, hidden: Tensor, detail: Tensor) -> Tensor:
        """What LocDiT is told, ``[B, M, W']``, of the states ``[B, W]`` of both."""
        return (self.base_to_flow(hidden) + self.residual_to_flow(detail))[:, None]  # [B, 1, W']
