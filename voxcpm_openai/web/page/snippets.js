/** The request of the page as programs of others send it. */
import { html, useState } from "./vendor/preact-htm.js";
import { ROOT } from "./api.js";
import { t } from "./i18n.js";
import { apiRequest } from "./speech.js";

const KEY = "VOXCPM_API_KEY";

/** @param {string} text @returns {string} It in single quotes, for a shell. */
const shell = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

/** How the request is written, by language. `keyed`: whether the server asks for a key. */
export const SNIPPETS = {
  curl(body, keyed) {
    return [
      `curl ${shell(`${ROOT}v1/audio/speech`)}`,
      ...(keyed ? [`-H "Authorization: Bearer $${KEY}"`] : []),
      "-H 'Content-Type: application/json'",
      `-d ${shell(JSON.stringify(body))}`,
      `-o ${shell(`speech.${body.response_format}`)}`,
    ].join(" \\\n  ");
  },
  Python(body, keyed) {
    const fields = Object.entries(body).map(
      ([name, value]) => `    ${name}=${JSON.stringify(value)},`,
    );
    return `${keyed ? "import os\n\n" : ""}from openai import OpenAI

client = OpenAI(base_url=${JSON.stringify(`${ROOT}v1`)}, api_key=${keyed ? `os.environ["${KEY}"]` : '"unused"'})

with client.audio.speech.with_streaming_response.create(
${fields.join("\n")}
) as speech:
    speech.stream_to_file(${JSON.stringify(`speech.${body.response_format}`)})
`;
  },
  JavaScript(body, keyed) {
    const authorization = `\n    Authorization: \`Bearer \${process.env.${KEY}}\`,`;
    return `const reply = await fetch(${JSON.stringify(`${ROOT}v1/audio/speech`)}, {
  method: "POST",
  headers: {
    "Content-Type": "application/json",${keyed ? authorization : ""}
  },
  body: JSON.stringify(${JSON.stringify(body, null, 2).replaceAll("\n", "\n  ")}),
});
if (!reply.ok) throw new Error(await reply.text());
const audio = await reply.arrayBuffer();
`;
  },
};

/** @param {{ request: object, keyed: boolean }} properties */
export function Snippets({ request, keyed }) {
  const [name, setName] = useState("curl");
  const [copied, setCopied] = useState(false);
  const code = SNIPPETS[name](apiRequest(request), keyed);
  const choose = (other) => {
    setName(other);
    setCopied(false);
  };
  return html`
    <div class="row">
      <div class="choices" role="group" aria-label=${t("request")}>
        ${Object.keys(SNIPPETS).map(
          (other) => html`
            <button type="button" aria-pressed=${other === name} onClick=${() => choose(other)}>
              ${other}
            </button>
          `,
        )}
      </div>
      <button type="button" class="quiet" onClick=${() => copy(code).then(() => setCopied(true))}>
        ${copied ? t("copied") : t("copy")}
      </button>
    </div>
    <pre class="code" tabindex="0" role="region" aria-label=${name}><code>${code}</code></pre>
  `;
}

/** Copies a text, also on plain HTTP, where there is no clipboard API. @param {string} text */
async function copy(text) {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text);
    return;
  }
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}
