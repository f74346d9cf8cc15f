/** The state of the server, from its probe. */
import { html, useEffect, useState } from "./vendor/preact-htm.js";
import { ROOT } from "./api.js";
import { t } from "./i18n.js";

const INTERVAL = 5_000; // milliseconds
const UNLOADED = ["unloaded", "unloading"];

/** @returns {Promise<object>} What `/ready` says; `state` is one of the keys of LABELS. */
export async function probe() {
  try {
    const reply = await fetch(new URL("ready", ROOT));
    const body = await reply.json();
    if (reply.ok) {
      return { ...body, state: UNLOADED.includes(body.engine.state) ? "unloaded" : "ready" };
    }
    return { state: body.error?.code === "engine_loading" ? "loading" : "failed" };
  } catch {
    return { state: "unreachable" };
  }
}

const LABELS = {
  ready: "engineReady",
  loading: "engineLoading",
  failed: "engineFailed",
  unloaded: "engineUnloaded",
  unreachable: "unreachable",
};

/**
 * @param {{ server: object, first: object, onReady: () => void }} properties
 * `first`: what the probe said at first; `onReady`: the engine has started.
 */
export function ServerState({ server, first, onReady }) {
  const [found, setFound] = useState(first);
  useEffect(() => {
    const look = async () => {
      if (!document.hidden) setFound(await probe());
    };
    const timer = setInterval(look, INTERVAL);
    document.addEventListener("visibilitychange", look);
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", look);
    };
  }, []);
  useEffect(() => {
    if (found.state === "ready" && !server.engine) onReady();
  }, [found.state, server.engine]);
  return html`
    <p class="server" aria-label=${t("server")} role="group">
      <span class=${`dot ${found.state}`} aria-hidden="true"></span>
      <strong>${server.engine_name}</strong>
      <span>${t(LABELS[found.state])}</span>
      ${facts(found).map((fact) => html`<span class="fact">${fact}</span>`)}
    </p>
  `;
}

/** Returns what is known of a server that is ready, as texts. */
function facts(found) {
  if (!found.streams) return [];
  const { engine, streams } = found;
  const device = engine.details?.runner?.device; // of an engine that can run on several
  return [
    ...(engine.summary ? [engine.summary] : []),
    ...(device ? [device] : []),
    t("streams", streams),
    t("waitingStreams", { count: engine.waiting ?? 0 }),
  ];
}
