/** What is said, segment by segment, beside what was typed; the one that is heard is marked. */
import { html, useEffect, useRef, useState } from "./vendor/preact-htm.js";
import { key } from "./api.js";
import { t } from "./i18n.js";
import { textOf } from "./speech.js";

const DELAY = 350; // milliseconds without a key press before the text is sent

const NOTHING = { language: "", segments: [], error: "" };

/** @returns The plan of a request's text, loaded when it has not changed for a moment. */
export function usePlan(request, enabled) {
  const [plan, setPlan] = useState(NOTHING);
  const { input, voice, model } = request;
  const sent = key();
  useEffect(() => {
    if (!enabled || !input.trim()) {
      setPlan(NOTHING);
      return undefined;
    }
    const abort = new AbortController();
    const timer = setTimeout(() => {
      textOf(request, abort.signal)
        .then((said) => setPlan({ ...said, error: "" }))
        .catch((error) => {
          if (!abort.signal.aborted) setPlan({ ...NOTHING, error: error.message });
        });
    }, DELAY);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [input, voice, model, enabled, sent]);
  return plan;
}

/**
 * @param {{
 *   language: string, segments: { text: string, spoken?: string }[], error: string, current: number,
 * }} properties
 * `language`: of the text, a code; `current`: the number of the segment that is heard, or -1.
 */
export function Segments({ language, segments, error, current }) {
  const pane = useRef(null);
  const marked = useRef(null);
  useEffect(() => {
    if (marked.current) reveal(marked.current, pane.current);
  }, [current]);
  return html`
    <div class="segments" ref=${pane} tabindex="0" role="group" aria-label=${t("said")}>
      ${error && html`<p class="error">${error}</p>`}
      ${!error && !segments.length && html`<p class="hint">${t("saidEmpty")}</p>`}
      <table hidden=${!segments.length}>
        <thead>
          <tr><th scope="col">${t("typed")}</th><th scope="col">${t("spokenAs")}</th></tr>
        </thead>
        <tbody lang=${language || undefined}>
          ${segments.map(
            ({ text, spoken }, index) => html`
              <tr
                key=${index}
                ref=${index === current ? marked : null}
                aria-current=${index === current ? "true" : undefined}
              >
                <td>${text}</td>
                <td>${changes(text, spoken ?? text)}</td>
              </tr>
            `,
          )}
        </tbody>
      </table>
    </div>
  `;
}

/** Scrolls a pane, and not the page, until it shows a row. */
function reveal(row, pane) {
  const { top, bottom } = row.getBoundingClientRect();
  const frame = pane.getBoundingClientRect();
  if (top < frame.top || bottom > frame.bottom) pane.scrollTop += top - frame.top;
}

/** @param {string} text @returns {string[]} Its words, Han characters and spaces. */
const tokens = (text) => text.match(/\p{sc=Han}|[^\s\p{sc=Han}]+|\s+/gu) ?? [];

/** Returns the spoken words, with those marked that were not typed. */
function changes(text, spoken) {
  const typed = new Set(tokens(text.toLowerCase()));
  return tokens(spoken).map((word) =>
    !word.trim() || typed.has(word.toLowerCase()) ? word : html`<mark>${word}</mark>`,
  );
}
