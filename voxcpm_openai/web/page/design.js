/** Designs a voice from a description: candidates, one of which may be kept. */
import { html, useState } from "./vendor/preact-htm.js";
import { jsonOf, post } from "./api.js";
import { t } from "./i18n.js";
import { SampleButton, useSample } from "./voices.js";

/** @param {{ onAdded: (id: string) => void }} properties */
export function Design({ onAdded }) {
  const [name, setName] = useState("");
  const [description, setDescription] = useState("");
  const [candidates, setCandidates] = useState([]);
  const [state, setState] = useState({ busy: false, error: "", done: "" });
  const fail = (message) => setState({ busy: false, error: message, done: "" });
  const sample = useSample(fail);
  const make = async (event) => {
    event.preventDefault();
    setState({ busy: true, error: "", done: "" });
    try {
      const made = await jsonOf(await post("v1/voices", { name, description }));
      setCandidates(made.candidates);
      setState({ busy: false, error: "", done: "" });
    } catch (error) {
      fail(error.message);
    }
  };
  const keep = async (id) => {
    try {
      const voice = await jsonOf(await post(`v1/voices/${id}/keep`, {}));
      setCandidates([]);
      setState({ busy: false, error: "", done: t("kept", { name: voice.name }) });
      onAdded(voice.id);
    } catch (error) {
      fail(error.message);
    }
  };
  return html`
    <form onSubmit=${make}>
      <p class="hint">${t("designHint")}</p>
      <label class="field">
        <span>${t("name")}</span>
        <input value=${name} maxlength="64" autocomplete="off" required onInput=${(event) => setName(event.target.value)} />
      </label>
      <label class="field">
        <span>${t("description")}</span>
        <textarea rows="2" required value=${description} placeholder=${t("descriptionExample")} onInput=${(event) => setDescription(event.target.value)}></textarea>
      </label>
      <button type="submit" class="primary" disabled=${state.busy || !name.trim() || !description.trim()}>
        ${state.busy ? t("designing") : t("design")}
      </button>
      <ol class="candidates">
        ${candidates.map(
          ({ id }, index) => html`
            <li key=${id}>
              <${SampleButton}
                id=${id}
                sample=${sample}
                hear=${t("hearCandidate", { number: index + 1 })}
                stop=${t("stopHearing", { name: t("candidate", { number: index + 1 }) })}
              />
              <span>${t("candidate", { number: index + 1 })}</span>
              <button type="button" class="quiet" aria-label=${t("keepCandidate", { number: index + 1 })} onClick=${() => keep(id)}>
                ${t("keep")}
              </button>
            </li>
          `,
        )}
      </ol>
      <p class="success" role="status">${state.done}</p>
      ${state.error && html`<p class="error" role="alert">${state.error}</p>`}
    </form>
  `;
}
