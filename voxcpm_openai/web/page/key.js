/** The field for an API key, where the server asks for one. */
import { html, useState } from "./vendor/preact-htm.js";
import { key, setKey } from "./api.js";
import { t } from "./i18n.js";

/** @param {{ onChange: () => void }} properties */
export function KeyField({ onChange }) {
  const [value, setValue] = useState("");
  const use = (next) => {
    setKey(next.trim());
    setValue("");
    onChange();
  };
  const submit = (event) => {
    event.preventDefault();
    use(value);
  };
  return html`
    <form class="card key" onSubmit=${submit}>
      <label class="field">
        <span>${t("key")}</span>
        <input
          type="password"
          autocomplete="off"
          value=${value}
          aria-describedby="key-hint"
          onInput=${(event) => setValue(event.target.value)}
        />
      </label>
      <button type="submit" disabled=${!value.trim()}>${t("keyUse")}</button>
      ${key() && html`<button type="button" class="quiet" onClick=${() => use("")}>${t("keyForget")}</button>`}
      <p class="hint" id="key-hint" role="status">${key() ? t("keyInUse") : t("keyHint")}</p>
    </form>
  `;
}
