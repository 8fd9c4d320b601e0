/** The files that lie beside this page. */

import { Problem } from "./problem.js";

/**
 * @param {string} name
 * @param {(bytes: number) => void} [progress]  Told how many bytes have arrived.
 * @returns {Promise<Uint8Array>}
 */
export async function fetchFile(name, progress = () => {}) {
  const response = await ask(name);
  const chunks = [];
  let length = 0;
  const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    chunks.push(value);
    length += value.length;
    progress(length);
  }
  const whole = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}

/** @param {string} name */
export async function fetchJson(name) {
  const response = await ask(name);
  try {
    return await response.json();
  } catch {
    throw new Problem(`${name} is damaged: write this page again with eightbit bundle --web.`);
  }
}

/** @param {string} name */
async function ask(name) {
  let response;
  try {
    response = await fetch(new URL(name, import.meta.url));
  } catch {
    throw new Problem(`${name} could not be loaded: is the server still there?`);
  }
  if (!response.ok) {
    throw new Problem(
      `${name} is not beside this page (the server says ${response.status}): copy the whole folder ` +
        "that eightbit bundle --web wrote.",
    );
  }
  return response;
}
