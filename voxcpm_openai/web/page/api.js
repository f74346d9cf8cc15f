/** Requests to the server. Paths are relative to it, so that it may be behind a prefix. */

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
 * @returns {Promise<Response>} A response with a status of success. Throws ApiError.
 */
export async function send(path, options = {}) {
  const headers = new Headers(options.headers);
  if (key()) headers.set("Authorization", `Bearer ${key()}`);
  const reply = await fetch(new URL(path, ROOT), { ...options, headers });
  if (!reply.ok) throw await errorOf(reply);
  return reply;
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
  return (await send(path)).json();
}

/** @param {Response} reply */
async function errorOf(reply) {
  const body = await reply.json().catch(() => ({}));
  const error = body.error ?? body.detail ?? {};
  return new ApiError(error.message ?? reply.statusText, reply.status, error.param ?? null);
}
