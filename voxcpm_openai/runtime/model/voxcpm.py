"""VoxCPM (0.5B, 1.5): text and a clip to latents, patch by patch, and latents to samples.

    sequence   text of the clip + text, 101, patches of the clip
    a patch    last patch -> LocEnc -> base LM -> quantization -> residual LM -> hidden states
               LocDiT (hidden states, last patch) -> patch

arXiv:2509.24650.  The first patch of a stream uses the states that its prefill left, and the states
after the last patch are not needed.  So the language models encode a patch only when the next one
is wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from voxcpm_openai.runtime.loading.checkpoint import Weights
from voxcpm_openai.runtime.model.config import ModelConfig
from voxcpm_openai.runtime.model.flow import Flow
from voxcpm_openai.runtime.model.linear import linear
from voxcpm_openai.runtime.model.local_encoder import LocalEncoder
from voxcpm_openai.runtime.model.ops import Ops, SelectedOps
from voxcpm_openai.runtime.model.state import (
    AUDIO,
    KVPrefix,
    PrefillTokens,
    Slots,
    SpeakerPrompt,
    TokenBatch,
)
from voxcpm_openai.runtime.model.transformer import Transformer
from voxcpm_openai.runtime.model.vae import VAEDecoder, VAEEncoder

AUDIO_START = 101
"""The token before the speech."""

SequencePart = list[int] | Tensor
"""A part of a sequence: token ids, or embedded patches ``[T, W]``."""

Tokenizer = Callable[[str], Sequence[int]]
"""Text to token ids."""


def no_tokenizer(text: str) -> Sequence[int]:
    """Raise TypeError: the ``Tokenizer`` of a model that is only given token ids."""
    raise TypeError(f"this model was made without a tokenizer, and cannot read {text!r}")


class VoxCPM:
    """A loaded model.  It holds weights only; all state is in ``Slots``.

    Shapes: B rows, T tokens or patches, P frames per patch, C channels of a frame, W hidden size of
    the language models, W' of LocDiT.  Latents, noise and samples are float32 whatever the dtype.
    """

    separate_time = False  # LocDiT's time is added to its condition
    context = 2  # patches of a prompt that the decoder runs first, for its state

    def __init__(
        self,
        config: ModelConfig,
        weights: Weights,
        vae: Weights,
        tokenizer: Tokenizer,
        ops: Ops,
    ) -> None:
        self.config = config
        self.tokens = tokenizer
        self.device, self.dtype, self.int8 = weights.device, weights.dtype, weights.int8
        self._selected = SelectedOps(ops)
        self.ops = ops = cast("Ops", self._selected)  # it has all of their methods
        hidden, dit_hidden = config.base.hidden_size, config.dit.hidden_size
        length = config.max_length
        self.embed_tokens = weights.tensor(
            "base_lm.embed_tokens.weight", config.vocab_size, hidden
        ).mul_(config.embedding_scale)  # [V, W]
        self.base = Transformer(weights.under("base_lm"), config.base, length, ops)
        self.residual = Transformer(weights.under("residual_lm"), config.residual, length, ops)
        self.local_encoder = LocalEncoder(weights, config, ops)
        self.flow = Flow(weights, config, ops, separate_time=self.separate_time)
        self.fsq_in_proj = linear(weights, "fsq_layer.in_proj", hidden, config.fsq_dim)
        self.fsq_out_proj = linear(weights, "fsq_layer.out_proj", config.fsq_dim, hidden)
        self.lm_to_dit_proj = linear(weights, "lm_to_dit_proj", hidden, dit_hidden)
        self.res_to_dit_proj = linear(weights, "res_to_dit_proj", hidden, dit_hidden)
        self.stop_proj = linear(weights, "stop_proj", hidden, hidden)
        self.stop_head = linear(weights, "stop_head", hidden, 2, bias=False)
        self.encoder = VAEEncoder(vae, config.vae, ops)
        self.decoder = VAEDecoder(vae, config.vae, ops)

    def use(self, ops: Ops) -> None:
        """Exchange the operators, before or between the steps of a stream.

        Stages and graphs that were made before keep what they took from the former ones.
        """
        self._selected.selected = ops

    @property
    def sample_rate(self) -> int:
        """The rate of the samples that ``decode`` returns, in Hz."""
        return self.config.vae.sample_rate

    @property
    def encoder_rate(self) -> int:
        """The rate of the samples that ``encode`` takes, in Hz."""
        return self.config.vae.encoder_rate

    @property
    def patch_samples(self) -> int:
        """Samples per patch at ``sample_rate``."""
        return self.config.patch_size * self.config.vae.decoder_hop

    @property
    def latent_shape(self) -> tuple[int, int]:
        """Frames per patch and channels of a frame, (P, C)."""
        return self.config.patch_size, self.config.channels

    def new_slots(self, slots: int, length: int) -> Slots:
        """Return the state of ``slots`` streams with ``length`` positions each."""
        if not 0 < length <= self.config.max_length:
            raise ValueError(f"length is {length}; this model has {self.config.max_length}.")
        shapes = self.decoder.conv_shapes
        return Slots(self.config, shapes, slots, length, self.device, self.dtype)

    @torch.inference_mode()
    def encode(self, samples: Tensor, *, reference: bool = False) -> Tensor:
        """Return the latents ``[T, P, C]`` of a clip ``samples [N]`` at ``encoder_rate``.

        A prompt is padded with silence at its start, because speech continues at its end; a
        reference is padded at its end.  Keeps no state: any thread may call it.
        """
        patch_samples = self.config.patch_size * self.config.vae.encoder_hop
        missing = -samples.shape[0] % patch_samples
        padded = F.pad(samples, (0, missing) if reference else (missing, 0))  # [T patch_samples]
        frames = self.encoder(padded)  # [C, T P]
        return frames.T.reshape(-1, *self.latent_shape)  # [T, P, C]

    @torch.inference_mode()
    def prompt(self, latents: Tensor) -> SpeakerPrompt:
        """Encode a prompt ``[T, P, C]``, once for all texts that continue from it."""
        latents = latents.to(self.device)
        slots = self.new_slots(1, 1)
        last = latents[-self.context :].flatten(0, 1)  # [context P, C]
        self.decoder(last.T[None], slots.conv_state, slice(0, 1))
        return SpeakerPrompt(latents[-1], self.local_encoder(latents), slots.snapshot(0))

    @torch.inference_mode()
    def prefill(
        self,
        slots: Slots,
        slot: int,
        ids: Sequence[int],
        prompt: Tensor | SpeakerPrompt | None = None,
        reference: Tensor | KVPrefix | None = None,
    ) -> None:
        """Begin a stream in a slot, as ``begin`` does, and prefill it."""
        self.prefill_next(slots, slot, self.begin(slots, slot, ids, prompt, reference))

    @torch.inference_mode()
    def begin(
        self,
        slots: Slots,
        slot: int,
        ids: Sequence[int],
        prompt: Tensor | SpeakerPrompt | None = None,
        reference: Tensor | KVPrefix | None = None,
    ) -> list[SequencePart]:
        """Begin a stream in a slot, reset it, and return the parts to prefill.

        ``ids``: tokens of the prompt's text, if there is a prompt, and of the text to speak.
        ``prompt [T, P, C]``: a clip that the speech continues from.  ``reference``: VoxCPM2 only.
        """
        if isinstance(prompt, Tensor):
            prompt = self.prompt(prompt)
        parts = self._parts(list(ids), prompt, reference)
        slots.reset(slot)
        if isinstance(reference, KVPrefix):
            slots.restore(slot, reference)
        if prompt is not None:
            slots.seed_from_prompt(slot, prompt)
        return parts

    @torch.inference_mode()
    def step(
        self, slots: Slots, rows: Sequence[int], noise: Tensor, steps: Sequence[int], cfg: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Make the next patch of the streams in the slots ``rows``.

        ``noise [B, C, P]``: normal, and ``cfg [B]``: guidance, on any device.  ``steps``: solver
        steps of each row, 2 or more.  Returns the patches ``[B, P, C]``, and the stop flags ``[B]``
        (bool), which upstream ignores for the first three patches of a stream.
        """
        if pending_encode := [slot for slot in rows if slots.pending_encode[slot]]:
            self.lm_step(slots, slots.rows(pending_encode))
            slots.mark_encoded(pending_encode)
        index = slots.index(rows)
        patches = self.acoustic_step(
            slots,
            index,
            lambda condition, previous: self.flow(noise, condition, previous, steps, cfg),
        )  # [B, P, C]
        slots.mark_generated(rows)
        return patches, slots.stop_flags[index]  # [B, P, C], [B]

    @torch.inference_mode()
    def lm_step(
        self, slots: Slots, batch: TokenBatch, prefill: PrefillTokens | None = None
    ) -> None:
        """Run both language models on the last patch of these rows; store their states.

        ``prefill``: prompt tokens that run beside them; they are the last rows of ``batch``.
        Runs on the device only: the host's counts in ``slots`` are not changed.
        """
        encoded = self.local_encoder(slots.patch[batch.encode_slots])  # [H, W]
        if prefill is None:
            hidden = self._quantize(self.base.step(encoded, slots.base, batch))  # [B, W]
        else:
            is_text = (prefill.ids != AUDIO)[:, None]  # [N, 1]
            text = self.embed_tokens[prefill.ids.clamp_min(0)]  # [N, W]
            x = torch.cat((encoded, torch.where(is_text, text, prefill.audio)))  # [B, W]
            is_text = torch.cat((is_text.new_zeros(len(encoded), 1), is_text))  # [B, 1]
            y = self.base.step(x, slots.base, batch)  # [B, W]
            hidden = torch.where(is_text, y, self._quantize(y))  # [B, W]
            encoded = x.masked_fill(is_text, 0)  # [B, W]
        residual_hidden = self.residual.step(
            self._fuse(hidden, encoded), slots.residual, batch
        )  # [B, W]
        slots.hidden[batch.state_slots] = hidden  # [B, W]
        slots.residual_hidden[batch.state_slots] = residual_hidden  # [B, W]
        slots.stop_flags[batch.state_slots] = self._stop_flags(hidden)  # [B]
        slots.positions[batch.state_slots] = batch.next_positions  # [B]

    @torch.inference_mode()
    def acoustic_step(
        self, slots: Slots, index: slice | Tensor, solve: Callable[[Tensor, Tensor], Tensor]
    ) -> Tensor:
        """Make, store and return the next patch ``[B, P, C]`` of the rows that ``index`` picks.

        ``solve``: conditions ``[B, M, W']`` and previous patches to patches ``[B, P, C]``.  Runs on
        the device only, as ``lm_step`` does.
        """
        condition = self._dit_condition(
            slots.hidden[index], slots.residual_hidden[index]
        )  # [B, M, W']
        patch = solve(condition, slots.patch[index])  # [B, P, C]
        slots.patch[index] = patch  # [B, P, C]
        return patch

    @torch.inference_mode()
    def decode(self, slots: Slots, rows: Sequence[int], latents: Tensor) -> Tensor:
        """Return the samples ``[B, patch_samples]`` of the next patches ``[B, P, C]``."""
        frames = latents.to(self.device).transpose(1, 2)  # [B, C, P]
        return self.decoder(frames, slots.conv_state, slots.index(rows))  # [B, patch_samples]

    def _parts(
        self, ids: list[int], prompt: SpeakerPrompt | None, reference: Tensor | KVPrefix | None
    ) -> list[SequencePart]:
        """Return the sequence, without what a prefix holds already."""
        if reference is not None:
            raise ValueError("VoxCPM-0.5B and 1.5 take no reference; give the clip as a prompt.")
        text: SequencePart = [*ids, AUDIO_START]
        return [text] if prompt is None else [text, prompt.tokens]

    @torch.inference_mode()
    def prefill_next(self, slots: Slots, slot: int, parts: Sequence[SequencePart]) -> None:
        """Run the next parts of a sequence through both language models.

        After the last ones the first patch can be made.
        """
        x = torch.cat([self._embed(part) for part in parts])  # [T, W]
        is_audio = torch.cat(
            [torch.full((len(part), 1), isinstance(part, Tensor)) for part in parts]
        ).to(self.device)  # [T, 1] bool
        start = slots.used[slot]
        slots.fill(slot, start + len(x))
        y = self.base.prefill(x, slots.base, slot, start)  # [T, W]
        hidden = torch.where(is_audio, self._quantize(y), y)  # [T, W]
        fused = self._fuse(hidden, x * is_audio)  # [T, W]
        residual_hidden = self.residual.prefill(fused, slots.residual, slot, start)  # [T, W]
        slots.hidden[slot] = hidden[-1]  # [W]
        slots.stop_flags[slot] = self._stop_flags(hidden[-1])  # []
        slots.residual_hidden[slot] = residual_hidden[-1]  # [W]

    def _embed(self, part: SequencePart) -> Tensor:
        """Return the embeddings of a part, ``[n, W]``."""
        if isinstance(part, Tensor):
            return part
        return self.embed_tokens[torch.tensor(part).to(self.device)]  # [n, W]

    def _quantize(self, x: Tensor) -> Tensor:
        """Return ``x [..., W]`` after finite scalar quantization (FSQ, arXiv:2309.15505)."""
        fsq_levels = self.config.fsq_levels
        quantized = (torch.tanh(self.fsq_in_proj(x)) * fsq_levels).round()  # [..., Q]
        return self.fsq_out_proj(quantized / fsq_levels)  # [..., W]

    def _fuse(self, hidden: Tensor, encoded: Tensor) -> Tensor:
        """Return the residual LM's input: the base LM's ``hidden [..., W]`` and the patches'."""
        return hidden + encoded  # [..., W]

    def stop_logits(self, hidden: Tensor) -> Tensor:
        """Return how likely the patch after ``hidden [..., W]`` is not, and is, the last one.

        The result is ``[..., 2]``.
        """
        return self.stop_head(F.silu(self.stop_proj(hidden)))  # [..., 2]

    def _stop_flags(self, hidden: Tensor) -> Tensor:
        """Return whether the patch after ``hidden [..., W]`` is the last one: ``[...]`` bool."""
        logits = self.stop_logits(hidden)  # [..., 2]
        return logits[..., 1] > logits[..., 0]  # [...]

    def _dit_condition(self, hidden: Tensor, residual_hidden: Tensor) -> Tensor:
        """Return LocDiT's condition ``[B, M, W']``, from the hidden states ``[B, W]``."""
        condition = self.lm_to_dit_proj(hidden) + self.res_to_dit_proj(residual_hidden)  # [B, W']
        return condition[:, None]  # [B, 1, W']
