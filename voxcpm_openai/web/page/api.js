/** Requests to the server. Paths are relative to it, so that it may be behind a prefix. */
import { t } from "./i18n.js";

/** The address of the server, with a slash at its end. */
export const ROOT = new URL("..", import.meta.url).href;

const KEY = "voxcpm-openai.key";

/** A request that the server has refused. */
export class ApiError extends Error {
  /**
   * @param {string} message For people.
   * @param {number} status The HTTP status.
   * @param {string | null} param The field that is wrong, if any.
   */
  constructor(message, status, param) {
    super(message);
    this.status = status;
    this.param = param;
  }
}

/** @returns {string} The API key of this visit; empty if there is none. */
export function key() {
  return sessionStorage.getItem(KEY) ?? "";
}

/** Keeps an API key until the tab is closed. @param {string} value */
export function setKey(value) {
  if (value) sessionStorage.setItem(KEY, value);
  else sessionStorage.removeItem(KEY);
}

/**
 * Sends a request.
 * @param {string} path Without a slash at its beginning.
 * @param {RequestInit} options As of `fetch`.
 * @returns {Promise<Response>} A response with a status of success. Throws ApiError, also when there
 * is no response; an AbortError after `options.signal`.
 */
export async function send(path, options = {}) {
  const headers = new Headers(options.headers);
  if (key()) headers.set("Authorization", `Bearer ${utf8(key())}`);
  const reply = await fetch(new URL(path, ROOT), { ...options, headers }).catch(
    lost("noConnection"),
  );
  if (!reply.ok) throw await errorOf(reply);
  return reply;
}

/**
 * Returns what handles a rejection of `fetch`, or of reading its response: browsers say "Failed to
 * fetch", "NetworkError" or "Load failed", and tell no more.
 * @param {string} name Of the text that says it instead.
 */
export function lost(name) {
  return (error) => {
    throw error.name === "AbortError" ? error : new ApiError(t(name), 0, null);
  };
}

/** @returns {string} The bytes of a text in UTF-8, one a character: headers take no others. */
function utf8(text) {
  return String.fromCharCode(...new TextEncoder().encode(text.replaceAll("\0", "")));
}

/**
 * Sends JSON.
 * @param {string} path
 * @param {object} body
 * @param {AbortSignal} [signal]
 */
export function post(path, body, signal) {
  const headers = { "Content-Type": "application/json" };
  return send(path, { method: "POST", headers, body: JSON.stringify(body), signal });
}

/**
 * Sends a form.
 * @param {string} path
 * @param {Record<string, string | Blob>} fields Empty ones are left out.
 */
export function postForm(path, fields) {
  const body = new FormData();
  for (const [name, value] of Object.entries(fields)) if (value) body.append(name, value);
  return send(path, { method: "POST", body });
}

/** @param {string} path @returns {Promise<any>} The JSON that the server returns. */
export async function getJson(path) {
  return jsonOf(await send(path));
}

/** @param {Response} reply @returns {Promise<any>} Its JSON. Throws ApiError. */
export async function jsonOf(reply) {
  const text = await reply.text().catch(lost("connectionLost"));
  return parsed(text, reply.status);
}

/** @param {string} text @param {number} status Of its response. @returns {any} Throws ApiError. */
export function parsed(text, status = 200) {
  try {
    return JSON.parse(text);
  } catch {
    throw new ApiError(t("foreignAnswer"), status, null); // such as the login page of a proxy
  }
}

/** @param {Response} reply */
async function errorOf(reply) {
  // The answer may be that of a proxy, in any form; HTTP/2 has no words for a status.
  const body = await reply.json().catch(() => null);
  const error = body?.error ?? body?.detail ?? body;
  const said = [error?.message, error].find((text) => text && typeof text === "string");
  const status = `${reply.status} ${reply.statusText}`.trim();
  return new ApiError(said ?? t("refusedStatus", { status }), reply.status, error?.param ?? null);
}
