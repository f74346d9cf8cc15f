/** Adds a voice from a recording, with the consent of its speaker. */
import { html, useState } from "./vendor/preact-htm.js";
import { jsonOf, postForm } from "./api.js";
import { currentLanguage, languageName, t } from "./i18n.js";
import { Recording } from "./recording.js";

const LANGUAGES = ["en", "zh", "es", "de", "fr", "ja", "ko"];

/** @param {{ server: object, onAdded: (id: string) => void }} properties */
export function NewVoice({ server, onAdded }) {
  const [name, setName] = useState("");
  const [chosen, setLanguage] = useState(currentLanguage());
  const [transcript, setTranscript] = useState("");
  const [sample, setSample] = useState(null);
  const [consent, setConsent] = useState(null);
  const [agreed, setAgreed] = useState(false);
  const [state, setState] = useState({ busy: false, error: "", done: "" });
  const codes = server.engine?.languages.length ? server.engine.languages : LANGUAGES;
  const language = codes.includes(chosen) ? chosen : codes[0];
  const whole = name.trim() && sample && (server.consent_required ? consent : agreed);
  const add = async (event) => {
    event.preventDefault();
    setState({ busy: true, error: "", done: "" });
    try {
      const id = consent && (await addConsent(name, language, consent));
      const fields = { name, language, transcript, consent: id, audio_sample: sample };
      const voice = await jsonOf(await postForm("v1/audio/voices", fields));
      setState({ busy: false, error: "", done: t("added", { name: voice.name }) });
      onAdded(voice.id);
    } catch (error) {
      setState({ busy: false, error: t("refused", { message: error.message }), done: "" });
    }
  };
  return html`
    <form onSubmit=${add}>
      ${server.engine && !server.engine.cloning && html`<p class="note">${t("cannotClone")}</p>`}
      <div class="pair">
        <label class="field">
          <span>${t("name")}</span>
          <input value=${name} maxlength="64" autocomplete="off" required onInput=${(event) => setName(event.target.value)} />
        </label>
        <label class="field">
          <span>${t("voiceLanguage")}</span>
          <select value=${language} onChange=${(event) => setLanguage(event.target.value)}>
            ${codes.map((code) => html`<option value=${code}>${languageName(code)}</option>`)}
          </select>
        </label>
      </div>
      <${Recording} label=${t("recordingOfVoice")} hint=${t("addVoiceHint")} value=${sample} onInput=${setSample} />
      <label class="field">
        <span>${t("transcript")}</span>
        <textarea rows="2" value=${transcript} placeholder=${server.engine?.needs_transcript ? t("transcriptNeeded") : ""} onInput=${(event) => setTranscript(event.target.value)}></textarea>
      </label>
      ${server.consent_required
        ? html`<${Recording} label=${t("consent")} hint=${t("consentHint")} value=${consent} onInput=${setConsent} />`
        : html`
            <label class="check">
              <input type="checkbox" checked=${agreed} onChange=${(event) => setAgreed(event.target.checked)} />
              <span>${t("consentCheck")}</span>
            </label>
          `}
      <button type="submit" class="primary" disabled=${!whole || state.busy}>
        ${state.busy ? t("adding") : t("add")}
      </button>
      <p class="success" role="status">${state.done}</p>
      ${state.error && html`<p class="error" role="alert">${state.error}</p>`}
    </form>
  `;
}

/** @returns {Promise<string>} The id of the stored consent. */
async function addConsent(name, language, recording) {
  const reply = await postForm("v1/audio/voice_consents", { name, language, recording });
  return (await jsonOf(reply)).id;
}
