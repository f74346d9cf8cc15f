/** The text, the buttons that speak it, and what is known of the speech. */
import { html, useEffect, useReducer, useRef, useState } from "./vendor/preact-htm.js";
import { bytes, number, seconds, t } from "./i18n.js";
import { Segments, usePlan } from "./segments.js";
import { Waveform } from "./waveform.js";

/**
 * @param {{
 *   request: object, speech: import("./speech.js").Speech | null, server: object, usable: boolean,
 *   onInput: (change: object) => void, onSpeak: () => void, onSave: (speech: object) => Promise<void>,
 * }} properties
 */
export function SpeechView({ request, speech, server, usable, onInput, onSpeak, onSave }) {
  const speakButton = useRef(null);
  const plan = usePlan(request, usable);
  const shown = speech?.active && speech.plan ? { ...speech.plan, error: "" } : plan;
  const current = useCurrent(speech);
  const stop = () => {
    speech.stop();
    speakButton.current?.focus();
  };
  const keys = (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) onSpeak();
    else if (event.key === "Escape" && speech?.active) stop();
  };
  const count = [...request.input].length;
  return html`
    <section class="card" aria-labelledby="text-label" onKeyDown=${keys}>
      <div class="row">
        <label id="text-label" class="heading" for="text">${t("text")}</label>
        <span class="hint" id="text-hint">${t("textHint")}</span>
      </div>
      <textarea
        id="text"
        rows="5"
        value=${request.input}
        aria-describedby="text-hint text-count"
        onInput=${(event) => onInput({ input: event.target.value })}
      ></textarea>
      <div class="row">
        <button ref=${speakButton} type="button" class="primary" disabled=${!request.input.trim()} onClick=${onSpeak}>
          <span class="glyph play" aria-hidden="true"></span>${t("speak")}
        </button>
        <button type="button" disabled=${!speech?.active} onClick=${stop}>
          <span class="glyph stop" aria-hidden="true"></span>${t("stop")}
        </button>
        <${SaveButton} speech=${speech} onSave=${onSave} />
        <span class=${count > server.max_input_chars ? "error end" : "hint end"} id="text-count">
          ${t("characters", { count: number(count), limit: number(server.max_input_chars) })}
        </span>
      </div>
      <${Waveform} speech=${speech} />
      <${Measurements} speech=${speech} />
      <p class="state" role="status">${words(speech)}</p>
      <p class="error" role="alert">${speech?.error}</p>
    </section>
    <section class="card" aria-labelledby="said-heading">
      <h2 id="said-heading">${t("said")}</h2>
      <p class="hint">${t("saidHint")}</p>
      <${Segments} ...${shown} current=${current} />
    </section>
  `;
}

/** Returns the number of the segment that is heard, updated for each frame. */
function useCurrent(speech) {
  const [current, setCurrent] = useState(-1);
  useEffect(() => {
    if (!speech?.active) {
      setCurrent(-1);
      return undefined;
    }
    let frame = 0;
    const next = () => {
      setCurrent(speech.current);
      frame = requestAnimationFrame(next);
    };
    next();
    return () => cancelAnimationFrame(frame);
  }, [speech, speech?.active]);
  return current;
}

/** Says what happens with a speech. */
function words(speech) {
  if (!speech) return t("ready");
  return t(speech.state, { seconds: seconds(speech.seconds) });
}

/** Saves the speech in the format of its request. */
function SaveButton({ speech, onSave }) {
  const [busy, setBusy] = useReducer((_, value) => value, false);
  const save = async () => {
    setBusy(true);
    await onSave(speech);
    setBusy(false);
  };
  const format = speech?.request.response_format ?? "";
  return html`
    <button type="button" disabled=${!speech?.samples || speech.receiving || busy} onClick=${save}>
      <span class="glyph save" aria-hidden="true"></span>
      ${busy ? t("downloading") : t("download", { format })}
    </button>
  `;
}

/** The measurements of a speech; a dash where there are none yet. */
function Measurements({ speech }) {
  const { firstSound = null, realTimeFactor = null, samples = 0 } = speech ?? {};
  const facts = [
    ["firstSound", firstSound === null ? "–" : seconds(firstSound)],
    ["realTimeFactor", realTimeFactor === null ? "–" : number(realTimeFactor, 2)],
    ["audio", samples ? seconds(speech.seconds) : "–"],
    ["received", samples ? bytes(speech.bytes) : "–"],
  ];
  return html`
    <dl class="measurements">
      ${facts.map(
        ([name, value]) => html`<div><dt>${t(name)}</dt><dd data-name=${name}>${value}</dd></div>`,
      )}
    </dl>
  `;
}
