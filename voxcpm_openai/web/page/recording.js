/** A field for a recording: a file, or the microphone with a level meter. */
import { html, useEffect, useRef, useState } from "./vendor/preact-htm.js";
import { seconds, t } from "./i18n.js";
import { playFile } from "./player.js";
import { Recorder, canRecord } from "./recorder.js";

const QUIET = 0.05; // peaks of good speech are above
const LOUD = 0.97; // and below

/** @param {{ label: string, hint: string, value: Blob | null, onInput: (file: Blob | null) => void }} properties */
export function Recording({ label, hint, value, onInput }) {
  const [recorder, setRecorder] = useState(null);
  const [level, setLevel] = useState(0);
  const [error, setError] = useState("");
  const [length, setLength] = useState("");
  const current = useRef(null);
  useEffect(() => () => current.current?.release(), []);
  const start = async () => {
    const next = new Recorder(setLevel);
    setError("");
    try {
      await next.start();
    } catch (problem) {
      next.release();
      setError(t("microphoneRefused", { message: problem.message }));
      return;
    }
    current.current = next;
    setRecorder(next);
  };
  const stop = async () => {
    const spoken = recorder.seconds;
    setRecorder(null);
    onInput(await recorder.stop());
    setLength(seconds(spoken));
  };
  const listen = () => {
    setError("");
    playFile(value.arrayBuffer(), () => {}, setError);
  };
  const choose = (event) => {
    setError("");
    setLength("");
    onInput(event.target.files[0] ?? null);
  };
  return html`
    <fieldset>
      <legend>${label}</legend>
      <p class="hint">${hint}</p>
      <div class="row">
        <label class="file">
          <span>${t("file")}</span>
          <input type="file" accept="audio/*,video/mp4,video/webm" onChange=${choose} />
        </label>
        ${canRecord() &&
        html`
          <button type="button" class=${recorder ? "danger" : ""} onClick=${recorder ? stop : start}>
            <span class="glyph record" aria-hidden="true"></span>
            ${recorder ? t("stopRecording") : t("record")}
          </button>
        `}
        ${value &&
        html`
          <button type="button" class="quiet" onClick=${listen}>
            ${t("listen")}
          </button>
        `}
      </div>
      ${!canRecord() && html`<p class="hint">${t("noMicrophone")}</p>`}
      ${recorder && html`<${Level} value=${level} seconds=${recorder.seconds} />`}
      <p class="hint" role="status">${length && t("recorded", { seconds: length })}</p>
      ${error && html`<p class="error" role="alert">${error}</p>`}
    </fieldset>
  `;
}

/** The level of the microphone, with what it means in words, and the length of the recording. */
function Level({ value, seconds: length }) {
  const words = value < QUIET ? t("levelLow") : value > LOUD ? t("levelHigh") : t("levelGood");
  return html`
    <div class="level">
      <meter min="0" max="1" low=${QUIET} high=${LOUD} optimum="0.5" value=${value} aria-label=${t("level")}></meter>
      <span class="hint">${seconds(length)}</span>
      <span class="hint">${words}</span>
    </div>
  `;
}
