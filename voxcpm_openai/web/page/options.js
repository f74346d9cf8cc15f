/** The settings of a request besides its text and its voice. */
import { html } from "./vendor/preact-htm.js";
import { number, t } from "./i18n.js";

/** @param {{ request: object, models: string[], server: object, onInput: (change: object) => void }} properties */
export function Options({ request, models, server, onInput }) {
  const set = (name) => (event) => onInput({ [name]: event.target.value });
  return html`
    <label class="field">
      <span>${t("model")}</span>
      <select value=${request.model} onChange=${set("model")}>
        ${models.map((id) => html`<option value=${id}>${id}</option>`)}
      </select>
    </label>
    <label class="field">
      <span>${t("format")}</span>
      <select value=${request.response_format} onChange=${set("response_format")}>
        ${server.formats.map((name) => html`<option value=${name}>${name}</option>`)}
      </select>
    </label>
    <label class="field">
      <span>${t("speed")} <output>${number(request.speed, 2)}×</output></span>
      <input
        type="range"
        min="0.25"
        max="4"
        step="0.05"
        value=${request.speed}
        aria-valuetext=${`${number(request.speed, 2)}×`}
        onInput=${(event) => onInput({ speed: Number(event.target.value) })}
      />
    </label>
    ${server.engine?.instructions &&
    html`
      <label class="field">
        <span>${t("instructions")}</span>
        <textarea
          rows="2"
          maxlength="4096"
          placeholder=${t("instructionsHint")}
          value=${request.instructions}
          onInput=${set("instructions")}
        ></textarea>
      </label>
    `}
  `;
}
