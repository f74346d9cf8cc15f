/** The choice of a voice, with its sample. */
import { html, useEffect, useRef, useState } from "./vendor/preact-htm.js";
import { lost, send } from "./api.js";
import { languageName, t } from "./i18n.js";
import { playFile } from "./player.js";

const KINDS = ["stock", "plugin", "cloned", "designed"];

/** Returns whether the running engine can speak with a voice. */
function usable(voice, server) {
  const { engine, engine_name: name } = server;
  if (!engine || voice.engines.includes(name)) return true;
  return engine.cloning || engine.default_speaker;
}

/**
 * Plays one sample at a time.
 * @param {(message: string) => void} onError Is given "" when another try begins.
 * @returns {{ playing: string, toggle: (id: string) => void }} `playing`: the id of a voice.
 */
export function useSample(onError) {
  const [playing, setPlaying] = useState("");
  const playback = useRef(null);
  useEffect(() => () => playback.current?.stop(), []);
  const toggle = (id) => {
    playback.current?.stop();
    if (playing === id) return;
    onError("");
    const file = send(`v1/voices/${encodeURIComponent(id)}/sample`).then((reply) =>
      reply.arrayBuffer().catch(lost("connectionLost")),
    );
    const ended = () => setPlaying((now) => (now === id ? "" : now));
    setPlaying(id);
    playback.current = playFile(file, ended, onError);
  };
  return { playing, toggle };
}

/** A button that plays the sample of a voice. */
export function SampleButton({ id, sample, hear, stop }) {
  const on = sample.playing === id;
  return html`
    <button
      type="button"
      class="icon"
      aria-label=${on ? stop : hear}
      title=${on ? stop : hear}
      onClick=${() => sample.toggle(id)}
    >
      <span class=${on ? "glyph stop" : "glyph play"} aria-hidden="true"></span>
    </button>
  `;
}

/** @param {{ voices: object[], server: object, value: string, onInput: (id: string) => void, onError: (message: string) => void }} properties */
export function VoicePicker({ voices, server, value, onInput, onError }) {
  const [language, setLanguage] = useState("");
  const [kind, setKind] = useState("");
  const sample = useSample(onError);
  const able = voices.filter((voice) => usable(voice, server));
  const languages = [...new Set(able.map((voice) => base(voice.language)))].filter(Boolean).sort();
  const kinds = KINDS.filter((name) => able.some((voice) => voice.kind === name));
  const shown = able.filter(
    (voice) =>
      (!language || base(voice.language) === language) && (!kind || voice.kind === kind),
  );
  return html`
    <div class="filters">
      <select aria-label=${t("filterLanguage")} value=${language} onChange=${(event) => setLanguage(event.target.value)}>
        <option value="">${t("allLanguages")}</option>
        ${languages.map((code) => html`<option value=${code}>${languageName(code)}</option>`)}
      </select>
      <select aria-label=${t("filterKind")} value=${kind} onChange=${(event) => setKind(event.target.value)}>
        <option value="">${t("allKinds")}</option>
        ${kinds.map((name) => html`<option value=${name}>${t(name)}</option>`)}
      </select>
    </div>
    <ul class="voices" aria-label=${t("voice")}>
      ${shown.map(
        (voice) => html`
          <li key=${voice.id}>
            <label>
              <input
                type="radio"
                name="voice"
                value=${voice.id}
                checked=${voice.id === value}
                onChange=${() => onInput(voice.id)}
              />
              <span class="voice-name">${voice.name}</span>
              <span class="voice-facts">
                ${languageName(voice.language)}${voice.kind === "stock" ? "" : ` · ${t(voice.kind)}`}
              </span>
              ${voice.description && html`<span class="voice-description">${voice.description}</span>`}
            </label>
            <${SampleButton}
              id=${voice.id}
              sample=${sample}
              hear=${t("hear", { name: voice.name })}
              stop=${t("stopHearing", { name: voice.name })}
            />
          </li>
        `,
      )}
    </ul>
    ${!shown.length && html`<p class="hint">${t("noVoices")}</p>`}
  `;
}

/** @param {string} language A code such as "en-US". */
function base(language) {
  return language.split("-")[0].toLowerCase();
}
