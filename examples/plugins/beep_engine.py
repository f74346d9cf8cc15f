"""An engine in one file: it says each word as a beep."""

import numpy as np

from voxcpm_openai import (
    Capabilities,
    Chunk,
    Engine,
    EngineSpec,
    GeneratorStream,
    hookimpl,
    plugin_settings,
    setting,
)


@plugin_settings("beep")
class BeepSettings:
    """The settings of this plugin: VOXCPM_BEEP_PITCH."""

    pitch: float = setting(440.0, "The pitch of the beep engine, in Hz.", min=50, max=5_000)


class BeepEngine(Engine):
    """One beep of 0.2 s for each word, whatever the voice."""

    capabilities = Capabilities(sample_rate=24_000, languages=("en",))

    def __init__(self, pitch):
        time = np.arange(4_800) / 24_000
        self.beep = (0.3 * np.sin(2 * np.pi * pitch * time)).astype(np.float32)

    def synthesize(self, utterance):
        """Return the stream of an utterance; called from many threads at once."""
        return GeneratorStream(self._beeps(utterance))

    def _beeps(self, utterance):
        for index, segment in enumerate(utterance.segments):
            for _word in segment.text.split():
                yield Chunk(self.beep, index)
            yield Chunk(np.zeros(round(24_000 * segment.pause), np.float32), index)


@hookimpl
def register_engines():
    """Offer the engine as VOXCPM_ENGINE=beep."""
    return [EngineSpec("beep", start, settings=BeepSettings)]


def start(settings):
    """Load the engine."""
    return BeepEngine(settings.of(BeepSettings).pitch)
