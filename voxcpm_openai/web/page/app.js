/** The page: its state, and how its parts are arranged. */
import { html, useEffect, useReducer, useState } from "./vendor/preact-htm.js";
import { getJson, key } from "./api.js";
import { Design } from "./design.js";
import { History, KEPT } from "./history.js";
import { LANGUAGES, currentLanguage, setLanguage, t } from "./i18n.js";
import { KeyField } from "./key.js";
import { NewVoice } from "./new-voice.js";
import { Options } from "./options.js";
import { ServerState, probe } from "./server-state.js";
import { Snippets } from "./snippets.js";
import { SpeechView } from "./speech-view.js";
import { Speech } from "./speech.js";
import { VoicePicker } from "./voices.js";

/** What the page needs of the server before it is shown. */
export async function load() {
  const [server, state, voices, models] = await Promise.all([
    getJson("page/server.json"),
    probe(),
    listVoices().catch(() => []), // without a key, or with one that is wrong: the page has its field
    listModels().catch(() => []),
  ]);
  return { server, state, voices, models };
}

/** @returns {Promise<object[]>} The voices. Throws ApiError. */
async function listVoices() {
  return (await getJson("v1/voices")).data;
}

/** @returns {Promise<string[]>} The ids of the models. Throws ApiError. */
async function listModels() {
  return (await getJson("v1/models")).data.map(({ id }) => id);
}

/** @param {{ found: Awaited<ReturnType<typeof load>> }} properties */
export function App({ found }) {
  const [server, setServer] = useState(found.server);
  const [voices, setVoices] = useState(found.voices);
  const [models, setModels] = useState(found.models);
  const [request, setRequest] = useState(() => firstRequest(found));
  const [speech, setSpeech] = useState(null);
  const [history, setHistory] = useState([]);
  const [error, setError] = useState("");
  const [, refresh] = useReducer((count) => count + 1, 0);
  useEffect(() => () => speech?.stop(), [speech]);

  const change = (fields) => setRequest((before) => ({ ...before, ...fields }));
  const reload = async () => {
    setError("");
    try {
      setServer(await getJson("page/server.json"));
      setVoices(await listVoices());
      setModels(await listModels());
    } catch ({ message }) {
      setError(message);
    }
  };
  const select = async (voice) => {
    await reload();
    change({ voice });
  };
  const play = (next, begin) => {
    speech?.stop();
    setError("");
    setSpeech(next);
    begin();
  };
  const speak = () => {
    if (!request.input.trim()) return;
    const next = new Speech(request, refresh);
    play(next, () => next.speak());
    setHistory((before) => [next, ...before].slice(0, KEPT));
  };
  const save = (other) => other.download().catch(({ message }) => setError(message));
  const choose = (code) => {
    setLanguage(code);
    refresh();
  };

  return html`
    <a class="skip" href="#text">${t("skip")}</a>
    <${Header} server=${server} first=${found.state} onReady=${reload} onLanguage=${choose} />
    <main>
      <p class="error" role="alert">${error}</p>
      ${server.keys_required && html`<${KeyField} onChange=${reload} />`}
      <div class="grid">
        <div class="column">
          <${SpeechView}
            request=${request}
            speech=${speech}
            server=${server}
            usable=${Boolean(server.engine) && !(server.keys_required && !key())}
            onInput=${change}
            onSpeak=${speak}
            onSave=${save}
          />
        </div>
        <div class="column side">
          <${Card} title=${t("voice")} id="voice">
            <${VoicePicker}
              voices=${voices}
              server=${server}
              value=${request.voice}
              onInput=${(voice) => change({ voice })}
              onError=${setError}
            />
          <//>
          <${Card} title=${t("options")} id="options">
            <${Options} request=${request} models=${models} server=${server} onInput=${change} />
          <//>
          <details class="card">
            <summary><h2>${t("addVoice")}</h2></summary>
            <${NewVoice} server=${server} onAdded=${select} />
          </details>
          ${server.engine?.voice_design &&
          html`
            <details class="card">
              <summary><h2>${t("designVoice")}</h2></summary>
              <${Design} onAdded=${select} />
            </details>
          `}
        </div>
        <div class="column">
          <${Card} title=${t("request")} id="request">
            <${Snippets} request=${request} keyed=${server.keys_required} />
          <//>
          <${Card} title=${t("history")} id="history">
            <${History}
              speeches=${history.filter((one) => one.samples)}
              onPlay=${(one) => play(one, () => one.replay())}
              onSave=${save}
              onUse=${(one) => change(one.request)}
            />
          <//>
        </div>
      </div>
    </main>
    <footer>voxcpm-openai ${server.version}</footer>
  `;
}

/** Returns the request that is shown first. */
function firstRequest({ server, voices, models }) {
  const known = (name, list) => (list.includes(name) ? name : (list[0] ?? name));
  return {
    input: t("sample"),
    voice: known(server.default_voice, voices.map(({ id }) => id)),
    model: known(server.default_model, models),
    response_format: known("mp3", server.formats),
    speed: 1,
    instructions: "",
  };
}

function Header({ server, first, onReady, onLanguage }) {
  return html`
    <header>
      <img src="page/icon.svg" alt="" width="36" height="36" />
      <div>
        <h1>voxcpm-openai</h1>
        <p class="hint">${t("subtitle")}</p>
      </div>
      <${ServerState} server=${server} first=${first} onReady=${onReady} />
      <select aria-label=${t("language")} value=${currentLanguage()} onChange=${(event) => onLanguage(event.target.value)}>
        ${Object.entries(LANGUAGES).map(
          ([code, name]) => html`<option value=${code} lang=${code}>${name}</option>`,
        )}
      </select>
    </header>
  `;
}

function Card({ title, id, children }) {
  return html`
    <section class="card" aria-labelledby=${`${id}-heading`}>
      <h2 id=${`${id}-heading`}>${title}</h2>
      ${children}
    </section>
  `;
}
