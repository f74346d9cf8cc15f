// OpenAI's SDK for Node.js: write a file while it is synthesized.  npm install openai
import { createWriteStream } from "node:fs";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import OpenAI from "openai";

const client = new OpenAI({
  baseURL: process.env.OPENAI_BASE_URL ?? "http://127.0.0.1:7861/v1",
  apiKey: process.env.OPENAI_API_KEY ?? "unused",
});
const output = process.argv[2] ?? "speech.mp3";
const speech = await client.audio.speech.create({
  model: "gpt-4o-mini-tts",
  voice: "coral",
  input: "The first words are played while the last ones are still being synthesized.",
});
await pipeline(Readable.fromWeb(speech.body), createWriteStream(output));
console.log(output);
