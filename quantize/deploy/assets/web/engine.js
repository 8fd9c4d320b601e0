/** The models, which run in a worker so that the page stays responsive. */

import { Problem } from "./problem.js";

export class Engine {
  /** @param {(share: number) => void} [progress]  Told which share of the models has arrived. */
  constructor(progress = () => {}) {
    this.worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    this.next = 0;
    /** @type {Error | null} */
    this.broken = null;
    /** @type {Map<number, {resolve: (result: any) => void, reject: (error: Error) => void}>} */
    this.waiting = new Map();
    this.worker.addEventListener("message", ({ data }) => {
      if ("share" in data) progress(data.share);
      else this.settle(data);
    });
    this.worker.addEventListener("error", (event) => {
      event.preventDefault();
      this.fail(new Problem("worker.js could not be started: your browser may be too old for it."));
    });
  }

  /**
   * @param {import("./model.js").Description} description
   * @returns {Promise<{threads: number}>}
   */
  load(description) {
    return this.ask("load", description);
  }

  /**
   * @param {Blob | ImageBitmap} picture  A file, or a frame of the camera, which is handed over.
   * @returns {Promise<import("./worker.js").Classified>}
   */
  classify(picture) {
    return this.ask("classify", picture, picture instanceof ImageBitmap ? [picture] : []);
  }

  /**
   * @param {Uint8Array} pixels  RGB, shape (H, W, 3) of the crop
   * @returns {Promise<Record<string, import("./model.js").Answer>>}
   */
  answer(pixels) {
    return this.ask("answer", pixels);
  }

  /** @returns {ReturnType<typeof import("./self_test.js").selfTest>} */
  selfTest() {
    return this.ask("selfTest");
  }

  /**
   * @param {string} task
   * @param {unknown} [argument]
   * @param {Transferable[]} [handedOver]
   * @returns {Promise<any>}
   */
  ask(task, argument, handedOver = []) {
    const id = this.next++;
    return new Promise((resolve, reject) => {
      if (this.broken) throw this.broken;
      this.waiting.set(id, { resolve, reject });
      this.worker.postMessage({ id, task, argument }, handedOver);
    });
  }

  /** @param {{id: number, result?: unknown, problem?: string}} message */
  settle({ id, result, problem }) {
    const waiting = this.waiting.get(id);
    this.waiting.delete(id);
    if (problem === undefined) waiting?.resolve(result);
    else waiting?.reject(new Problem(problem));
  }

  /** @param {Error} error */
  fail(error) {
    this.broken = error;
    for (const { reject } of this.waiting.values()) reject(error);
    this.waiting.clear();
  }
}
