"""LangChain: the last step of a chain speaks what the steps before it wrote.

pip install langchain-core openai
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from langchain_core.prompts import PromptTemplate
from langchain_core.runnables import RunnableLambda
from openai import OpenAI

client = OpenAI(
    base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:7861/v1"),
    api_key=os.environ.get("OPENAI_API_KEY", "unused"),
)
output = Path(sys.argv[1] if len(sys.argv) > 1 else "speech.mp3")


def speak(text: str) -> Path:
    """Write the speech and return its file."""
    speech = client.audio.speech.create(model="tts-1", voice="alloy", input=text)
    speech.write_to_file(output)
    return output


# A language model usually stands between the two.
chain = (
    PromptTemplate.from_template("Good morning, {name}. It is time to get up.")
    | RunnableLambda(lambda prompt: prompt.to_string())
    | RunnableLambda(speak)
)
print(chain.invoke({"name": "Ada"}))
