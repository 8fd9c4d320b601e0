/**
 * Keeps every file of the page and answers with it, whether or not the server is there.
 *
 * files.js says which files there are, with their SHA-256. A copy is complete and of one version, or
 * it is not used: a page that was written anew takes the place of the old one as a whole.
 */

importScripts("files.js");

/** @type {Record<string, string>} */
const files = self.FILES;
const prefix = `eightbit ${self.registration.scope} `;
const current = prefix + self.VERSION;

self.addEventListener("install", (event) => {
  event.waitUntil(keepAll().then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  event.waitUntil(dropOthers().then(() => self.clients.claim()));
});

self.addEventListener("fetch", (event) => {
  const name = nameOf(event.request);
  if (name !== null) event.respondWith(answer(name, event.request));
});

/** The file that is asked for; null for what is none of the page's. */
function nameOf(request) {
  const { origin, pathname } = new URL(request.url);
  const scope = new URL(self.registration.scope);
  if (request.method !== "GET" || origin !== scope.origin) return null;
  if (!pathname.startsWith(scope.pathname)) return null;
  const name = pathname.slice(scope.pathname.length) || "index.html";
  return Object.hasOwn(files, name) ? name : null;
}

async function answer(name, request) {
  const cache = await caches.open(current);
  return (await cache.match(name)) ?? fetch(request);
}

async function keepAll() {
  const cache = await caches.open(current);
  try {
    await Promise.all(
      Object.entries(files).map(async ([name, digest]) => {
        await cache.put(name, await verified(name, digest));
      }),
    );
  } catch (error) {
    await caches.delete(current);
    throw error;
  }
}

/** The file with that digest: from the browser's own cache if it has it, else from the server. */
async function verified(name, digest) {
  // Some servers redirect from index.html, and a page may not come from what was redirected.
  const address = name === "index.html" ? "./" : name;
  for (const cache of ["default", "reload"]) {
    const response = await fetch(address, { cache });
    if (!response.ok) continue;
    const bytes = await response.clone().arrayBuffer();
    if (hexadecimal(await crypto.subtle.digest("SHA-256", bytes)) === digest) return response;
  }
  throw new Error(`${name} on the server is not the one of this version`);
}

function hexadecimal(buffer) {
  return Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function dropOthers() {
  const names = await caches.keys();
  const old = names.filter((name) => name.startsWith(prefix) && name !== current);
  await Promise.all(old.map((name) => caches.delete(name)));
}
