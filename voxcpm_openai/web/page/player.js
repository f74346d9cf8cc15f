/**
 * Plays samples while they arrive.
 *
 * Each chunk is an AudioBufferSourceNode that starts where the one before ends. This works in all
 * browsers and on plain HTTP: there is no MediaSource on iPhones, and an AudioWorklet needs HTTPS.
 */
import { t } from "./i18n.js";

/** The sample rate of the audio graph, in Hz: chunks of any other would be resampled one by one. */
export const RATE = 48_000;

/** Seconds from the arrival of the first chunk to its sound. */
export const LEAD = 0.03;

const REBUFFER = 0.25; // seconds before the first chunk after an underrun

/** @type {AudioContext | null} */
let context = null;

/**
 * Returns the audio graph, running. Call it in a click or a key press: browsers, above all Safari,
 * start no audio without one.
 */
export function audioContext() {
  context ??= new AudioContext({ sampleRate: RATE, latencyHint: "interactive" });
  // Without this an iPhone that is switched to silent plays nothing.
  if (navigator.audioSession) navigator.audioSession.type = "playback";
  if (context.state !== "running") context.resume();
  return context;
}

/** One piece of audio, played once. */
export class Playback {
  /** @param {() => void} onEnded Called once, when everything was played or playback was stopped. */
  constructor(onEnded) {
    this.context = audioContext();
    this.ended = false;
    this.duration = 0; // seconds that were added
    this.onEnded = onEnded;
    this.finished = false;
    this.sources = new Set();
    this.spans = []; // { at, offset }: the time of the context, and of the audio
    this.next = 0;
  }

  /** Adds samples to the end. @param {Int16Array} samples At RATE. */
  push(samples) {
    if (this.ended || !samples.length) return;
    const buffer = this.context.createBuffer(1, samples.length, RATE);
    const values = buffer.getChannelData(0);
    for (let n = 0; n < samples.length; n++) values[n] = samples[n] / 32_768;
    this.pushBuffer(buffer);
  }

  /** Adds decoded audio to the end. @param {AudioBuffer} buffer */
  pushBuffer(buffer) {
    const now = this.context.currentTime;
    if (this.next < now) {
      this.next = now + (this.spans.length ? REBUFFER : LEAD);
      this.spans.push({ at: this.next, offset: this.duration });
    }
    const source = this.context.createBufferSource();
    source.buffer = buffer;
    source.connect(this.context.destination);
    source.onended = () => {
      this.sources.delete(source);
      this.#endIfDone();
    };
    source.start(this.next);
    this.sources.add(source);
    this.next += buffer.duration;
    this.duration += buffer.duration;
  }

  /** Says that no more audio comes. */
  finish() {
    this.finished = true;
    this.#endIfDone();
  }

  /** Ends playback at once. */
  stop() {
    if (this.ended) return;
    this.ended = true;
    for (const source of this.sources) {
      source.onended = null;
      source.stop();
      source.disconnect();
    }
    this.sources.clear();
    this.onEnded();
  }

  /** @returns {number} The time of the audio that is heard now, in seconds. */
  get position() {
    const heard = this.context.currentTime - (this.context.outputLatency || 0);
    const span = this.spans.findLast(({ at }) => at <= heard);
    return span ? Math.min(span.offset + heard - span.at, this.#end(span)) : 0;
  }

  /** Where the audio of a span ends. */
  #end(span) {
    return this.spans[this.spans.indexOf(span) + 1]?.offset ?? this.duration;
  }

  #endIfDone() {
    if (this.ended || !this.finished || this.sources.size) return;
    this.ended = true;
    this.onEnded();
  }
}

/**
 * Plays a file, such as the sample of a voice.
 * @param {Promise<ArrayBuffer>} file
 * @param {() => void} onEnded
 * @param {(message: string) => void} onError Called if it cannot be loaded or decoded.
 * @returns {Playback}
 */
export function playFile(file, onEnded, onError) {
  const playback = new Playback(onEnded);
  file
    .then((content) =>
      playback.context.decodeAudioData(content).catch(() => {
        throw new Error(t("undecodable"));
      }),
    )
    .then((buffer) => {
      if (!playback.ended) playback.pushBuffer(buffer);
    })
    .catch(({ message }) => onError(message))
    .finally(() => playback.finish());
  return playback;
}
