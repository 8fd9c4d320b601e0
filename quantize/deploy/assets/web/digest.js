/**
 * SHA-256 by the browser's own means, which it has only on https: and on this machine.
 * @param {Uint8Array} bytes
 * @returns {Promise<string | null>} 64 hexadecimal digits; null where the browser has it not.
 */
export async function sha256(bytes) {
  if (!globalThis.crypto?.subtle) return null;
  const digest = await crypto.subtle.digest("SHA-256", /** @type {BufferSource} */ (bytes));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
