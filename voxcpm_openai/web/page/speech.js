/** One speech: its request, its audio as it arrives, and its measurements. */
import { ApiError, jsonOf, lost, parsed, post } from "./api.js";
import { t } from "./i18n.js";
import { LEAD, Playback, RATE } from "./player.js";
import { save, wav } from "./wav.js";

/** How long the parts of the waveform are, in samples: 20 ms. */
export const PEAK = RATE / 50;

let count = 0;

/**
 * @typedef {object} SpeechRequest
 * @property {string} input
 * @property {string} voice An id.
 * @property {string} model
 * @property {string} response_format Of the download.
 * @property {number} speed
 * @property {string} instructions
 */

/** A speech. `onChange` is called after each change that can be seen. */
export class Speech {
  /** @param {SpeechRequest} request @param {() => void} onChange */
  constructor(request, onChange) {
    this.id = ++count;
    this.request = { ...request };
    /** Equal for the download, so that it sounds the same. */
    this.seed = crypto.getRandomValues(new Uint32Array(1))[0] >>> 1;
    this.onChange = onChange;
    /** @type {"waiting" | "speaking" | "done" | "stopped" | "failed"} */
    this.state = "waiting";
    this.receiving = true;
    this.error = "";
    this.chunks = []; // of Int16Array
    this.samples = 0;
    this.peaks = []; // 0 to 1, one for each PEAK samples
    this.plan = null; // what is said; see `loadPlan`
    this.alignments = []; // of the segments that have ended; see `ends`
    this.firstSound = null; // seconds after the request
    this.elapsed = null; // seconds until all audio was there
    this.playback = null;
    this.abort = new AbortController();
    this.partial = 0; // samples in the last peak
  }

  /** Whether it is made or heard now. */
  get active() {
    return this.state === "waiting" || this.state === "speaking";
  }

  /** The audio that has arrived, in seconds. */
  get seconds() {
    return this.samples / RATE;
  }

  /** The audio that has arrived, in bytes. */
  get bytes() {
    return this.samples * 2;
  }

  /** The seconds that a second of audio took to make, or null. */
  get realTimeFactor() {
    return this.elapsed !== null && this.samples ? this.elapsed / this.seconds : null;
  }

  /** What is said, segment by segment, as far as it is known. */
  get segments() {
    return this.plan?.segments ?? [];
  }

  /** The ends of the segments in seconds, as far as they are known. */
  get ends() {
    const characters = this.alignments.flatMap((alignment) => alignment.characters);
    const times = this.alignments.flatMap((alignment) => alignment.character_end_times_seconds);
    const ends = [];
    let next = 0;
    for (const { text } of this.segments) {
      if (next >= times.length) break;
      next += [...text].length;
      if (characters[next] === " ") next += 1;
      ends.push(times[Math.min(next, times.length) - 1]);
    }
    return ends;
  }

  /** The number of the segment that is heard now, or -1. */
  get current() {
    if (this.state !== "speaking" || !this.segments.length) return -1;
    const position = this.playback?.position ?? 0;
    const { ends } = this;
    const index = ends.findIndex((end) => position < end);
    return Math.min(index < 0 ? ends.length : index, this.segments.length - 1);
  }

  /** Requests the speech and plays it while it is made. Call it in a click or a key press. */
  async speak() {
    this.playback = this.#open();
    const begun = performance.now();
    const { voice, input, model, speed, instructions } = this.request;
    const path = `v1/text-to-speech/${encodeURIComponent(voice)}/stream/with-timestamps`;
    const body = { text: input, model_id: model, seed: this.seed, voice_settings: { speed } };
    if (instructions) body.instructions = instructions;
    this.loadPlan();
    try {
      const reply = await post(`${path}?output_format=pcm_${RATE}`, body, this.abort.signal);
      for await (const line of jsonLines(reply.body)) {
        this.#add(line);
        if (this.samples) this.firstSound ??= (performance.now() - begun) / 1000 + LEAD;
        this.onChange();
      }
      this.elapsed = (performance.now() - begun) / 1000;
    } catch (error) {
      this.#fail(error);
    } finally {
      this.receiving = false;
      this.playback.finish();
      this.onChange();
    }
  }

  /** Loads what is said, segment by segment. */
  async loadPlan() {
    this.plan ??= await textOf(this.request).catch(() => null);
    this.onChange();
  }

  /** Plays the audio that is there once more. Call it in a click or a key press. */
  replay() {
    this.playback = this.#open();
    this.state = "speaking";
    for (const chunk of this.chunks) this.playback.push(chunk);
    this.playback.finish();
    this.onChange();
  }

  /** Ends the request and playback. */
  stop() {
    if (this.active) this.state = "stopped";
    this.abort.abort();
    this.playback?.stop();
  }

  /**
   * Saves the speech in the format of its request. WAV and PCM are at hand; for another format the
   * server makes the speech again, with the same seed. Throws ApiError.
   */
  async download() {
    const format = this.request.response_format;
    const name = `speech-${this.id}.${format}`;
    if (format === "wav" && !this.receiving) return save(wav(this.chunks, RATE), name);
    const body = apiRequest({ ...this.request, seed: this.seed });
    const reply = await post("v1/audio/speech", body);
    return save(await reply.blob().catch(lost("connectionLost")), name);
  }

  #open() {
    const playback = new Playback(() => {
      if (playback !== this.playback) return;
      if (this.active) this.state = "done";
      this.onChange();
    });
    return playback;
  }

  #fail(error) {
    if (this.abort.signal.aborted) return;
    this.state = "failed";
    this.error = error.message;
  }

  /** Adds a line of the response: audio, and the times of the segments that have ended. */
  #add({ audio_base64: audio, alignment }) {
    const samples = samplesOf(audio);
    if (samples.length) {
      if (this.state === "waiting") this.state = "speaking";
      this.playback.push(samples);
      this.chunks.push(samples);
      this.samples += samples.length;
      this.#addPeaks(samples);
    }
    if (alignment) this.alignments.push(alignment);
  }

  #addPeaks(samples) {
    for (const sample of samples) {
      if (this.partial === 0) this.peaks.push(0);
      const last = this.peaks.length - 1;
      this.peaks[last] = Math.max(this.peaks[last], Math.abs(sample) / 32_768);
      this.partial = (this.partial + 1) % PEAK;
    }
  }
}

/** @param {SpeechRequest} request @returns {object} The body of `POST /v1/audio/speech`. */
export function apiRequest(request) {
  const { input, voice, model, response_format, speed, instructions, seed } = request;
  const body = { model, voice, input, response_format };
  if (speed !== 1) body.speed = speed;
  if (instructions) body.instructions = instructions;
  if (seed !== undefined) body.seed = seed;
  return body;
}

/** @param {SpeechRequest} request @param {AbortSignal} [signal] @returns What would be said. */
export async function textOf(request, signal) {
  return jsonOf(await post("v1/audio/speech/text", apiRequest(request), signal));
}

/** @param {string} audio 16-bit samples in base64. @returns {Int16Array} */
function samplesOf(audio) {
  const bytes = Uint8Array.from(atob(audio), (letter) => letter.charCodeAt(0));
  return new Int16Array(bytes.buffer, 0, bytes.length >> 1);
}

/** Yields the JSON objects of a stream, at least one, one a line. Throws ApiError. @param {ReadableStream<Uint8Array>} stream */
async function* jsonLines(stream) {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  let begun = false;
  for (;;) {
    const { value, done } = await reader.read().catch(lost("connectionLost"));
    if (done) break;
    const lines = (rest + decoder.decode(value, { stream: true })).split("\n");
    rest = lines.pop();
    for (const line of lines.filter(Boolean)) {
      yield parsed(line);
      begun = true;
    }
  }
  if (begun && rest) throw new ApiError(t("connectionLost"), 0, null); // in the middle of a line
  if (!begun) yield parsed(rest);
}
