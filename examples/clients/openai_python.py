"""OpenAI's Python SDK: write a file while it is synthesized.  pip install openai"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from openai import OpenAI

client = OpenAI(
    base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:7861/v1"),
    api_key=os.environ.get("OPENAI_API_KEY", "unused"),
)
output = Path(sys.argv[1] if len(sys.argv) > 1 else "speech.mp3")
with client.audio.speech.with_streaming_response.create(
    model="gpt-4o-mini-tts",
    voice="coral",
    input="The first words are played while the last ones are still being synthesized.",
) as speech:
    speech.stream_to_file(output)
print(output)
