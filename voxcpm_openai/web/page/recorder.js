/** The microphone. */
import { audioContext } from "./player.js";

/** @returns {boolean} Whether a browser lets this page use the microphone at all. */
export function canRecord() {
  return Boolean(navigator.mediaDevices?.getUserMedia && globalThis.MediaRecorder);
}

/** A recording from the microphone. */
export class Recorder {
  /** @param {(peak: number) => void} onLevel Called for each frame with a peak of 0 to 1. */
  constructor(onLevel) {
    this.onLevel = onLevel;
    this.parts = [];
  }

  /** Asks for the microphone and starts. Call it in a click or a key press. */
  async start() {
    const context = audioContext();
    if (navigator.audioSession) navigator.audioSession.type = "play-and-record";
    // The sound as it is: what makes calls clearer makes a voice unlike itself.
    const audio = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    this.stream = await navigator.mediaDevices.getUserMedia({ audio });
    this.recorder = new MediaRecorder(this.stream, { audioBitsPerSecond: 192_000 });
    this.recorder.ondataavailable = ({ data }) => this.parts.push(data);
    this.source = context.createMediaStreamSource(this.stream);
    this.analyser = context.createAnalyser();
    this.source.connect(this.analyser);
    this.begun = performance.now();
    this.recorder.start();
    this.#measure();
  }

  /** Seconds since the start. */
  get seconds() {
    return (performance.now() - this.begun) / 1000;
  }

  /** Ends the recording. @returns {Promise<Blob>} A file in a format of the browser. */
  async stop() {
    cancelAnimationFrame(this.frame);
    const ended = new Promise((resolve) => {
      this.recorder.onstop = resolve;
    });
    this.recorder.stop();
    await ended;
    this.release();
    return new Blob(this.parts, { type: this.recorder.mimeType });
  }

  /** Gives the microphone back. */
  release() {
    cancelAnimationFrame(this.frame);
    this.source?.disconnect();
    this.stream?.getTracks().forEach((track) => track.stop());
  }

  #measure() {
    const samples = new Float32Array(this.analyser.fftSize);
    const next = () => {
      this.analyser.getFloatTimeDomainData(samples);
      this.onLevel(Math.min(1, Math.max(...samples.map(Math.abs))));
      this.frame = requestAnimationFrame(next);
    };
    next();
  }
}
