/** Keeps a copy of the page in the browser, so that it works without the server. */

const KEPT = "The whole page is kept in this browser: it works without the server, too.";
const NEWER = "A newer version of this page has arrived: reload to use it.";
const NO_HTTPS = "Without https the browser keeps no copy of this page: it needs the server each time.";
const FAILED =
  "The browser keeps no copy of this page: its files could not be fetched as they were written.";

/** @param {(line: string) => void} tell */
export async function keepCopy(tell) {
  if (!navigator.serviceWorker) return tell(NO_HTTPS);
  try {
    const options = /** @type {const} */ ({ updateViaCache: "none" });
    const registration = await navigator.serviceWorker.register("service-worker.js", options);
    const kept = registration.active !== null;
    if (kept) {
      tell(KEPT);
      await registration.update();
    }
    const copy = registration.installing;
    if (!copy) return;
    if (await becomesActive(copy)) tell(kept ? NEWER : KEPT);
    else if (!kept) tell(FAILED);
  } catch {
    // No server that could tell of a newer version, or none that hands out the worker.
    if (!navigator.serviceWorker.controller) tell(FAILED);
  }
}

/**
 * Whether a worker has fetched everything, once that is decided.
 * @param {ServiceWorker} worker
 * @returns {Promise<boolean>}
 */
function becomesActive(worker) {
  return new Promise((resolve) => {
    const look = () => {
      if (worker.state === "activated") resolve(true);
      if (worker.state === "redundant") resolve(false);
    };
    worker.addEventListener("statechange", look);
    look();
  });
}
