"""LiteLLM as a library: the provider `openai` with another address.  pip install litellm"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import litellm

output = Path(sys.argv[1] if len(sys.argv) > 1 else "speech.mp3")
speech = litellm.speech(
    model="openai/tts-1",
    voice="alloy",
    input="Speech from a server of your own, through LiteLLM.",
    api_base=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:7861/v1"),
    api_key=os.environ.get("OPENAI_API_KEY", "unused"),
)
output.write_bytes(speech.content)
print(output)
