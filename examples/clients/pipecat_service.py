"""The speech service of a Pipecat pipeline: put it between the language model and the transport.

pip install 'pipecat-ai[openai]'
"""

from __future__ import annotations

import os

from pipecat.services.openai.tts import OpenAITTSService

speaker = OpenAITTSService(
    base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:7861/v1"),
    api_key=os.environ.get("OPENAI_API_KEY", "unused"),
    settings=OpenAITTSService.Settings(model="gpt-4o-mini-tts", voice="alloy"),
)
