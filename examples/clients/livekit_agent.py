"""A LiveKit agent that speaks through this server.

pip install 'livekit-agents[openai]', then: python livekit_agent.py console
"""

from __future__ import annotations

import os

from livekit.agents import Agent, AgentSession, JobContext, WorkerOptions, cli
from livekit.plugins import openai

speaker = openai.TTS(
    base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:7861/v1"),
    api_key=os.environ.get("OPENAI_API_KEY", "unused"),
    model="gpt-4o-mini-tts",
    voice="alloy",
    response_format="pcm",
)


async def entrypoint(ctx: JobContext) -> None:
    """Join the room and greet."""
    session: AgentSession[None] = AgentSession(tts=speaker)
    await session.start(agent=Agent(instructions="You greet people."), room=ctx.room)
    await session.say("Hello! This is a voice of your own.")


if __name__ == "__main__":
    cli.run_app(WorkerOptions(entrypoint_fnc=entrypoint))
