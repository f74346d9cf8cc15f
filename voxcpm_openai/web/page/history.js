/** What was spoken during this visit. */
import { html } from "./vendor/preact-htm.js";
import { seconds, t } from "./i18n.js";

/** The most speeches that are kept; each second takes 96 kB of memory. */
export const KEPT = 20;

/**
 * @param {{ speeches: import("./speech.js").Speech[], onPlay: Function, onSave: Function, onUse: Function }} properties
 */
export function History({ speeches, onPlay, onSave, onUse }) {
  if (!speeches.length) return html`<p class="hint">${t("historyEmpty")}</p>`;
  return html`
    <ol class="history">
      ${speeches.map((speech) => {
        const text = speech.request.input.trim();
        const short = [...text].slice(0, 60).join("");
        return html`
          <li key=${speech.id}>
            <div class="history-text">
              <span class="clamped">${text}</span>
              <span class="hint">${speech.request.voice} · ${speech.request.model} · ${seconds(speech.seconds)}</span>
            </div>
            <div class="row">
              <button type="button" class="quiet" aria-label=${t("playAgain", { text: short })} onClick=${() => onPlay(speech)}>
                ${t("play")}
              </button>
              <button type="button" class="quiet" aria-label=${t("save", { text: short })} onClick=${() => onSave(speech)}>
                ${t("saveShort")}
              </button>
              <button type="button" class="quiet" aria-label=${t("useText", { text: short })} onClick=${() => onUse(speech)}>
                ${t("useAgain")}
              </button>
            </div>
          </li>
        `;
      })}
    </ol>
  `;
}
