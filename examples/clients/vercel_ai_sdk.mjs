// Vercel's AI SDK: synthesize a text.  npm install ai @ai-sdk/openai
import { writeFile } from "node:fs/promises";
import { createOpenAI } from "@ai-sdk/openai";
import { experimental_generateSpeech as generateSpeech } from "ai";

const openai = createOpenAI({
  baseURL: process.env.OPENAI_BASE_URL ?? "http://127.0.0.1:7861/v1",
  apiKey: process.env.OPENAI_API_KEY ?? "unused",
});
const output = process.argv[2] ?? "speech.mp3";
const { audio } = await generateSpeech({
  model: openai.speech("gpt-4o-mini-tts"),
  voice: "coral",
  text: "Speech from a server of your own, through the AI SDK.",
});
await writeFile(output, audio.uint8Array);
console.log(output);
