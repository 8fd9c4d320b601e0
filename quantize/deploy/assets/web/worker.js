/**
 * The work, away from the page: one message asks, one answers, in the order of asking.
 *
 * @typedef {{
 *   pixels: Uint8Array, crop: [number, number], width: number, height: number,
 *   answers: Record<string, import("./model.js").Answer>, prepareMilliseconds: number,
 * }} Classified  With height and width of the crop, and width and height of the picture.
 */

import { decode, pixelsOf } from "./decoding.js";
import { loadModels } from "./model.js";
import { croppedPixels, heightAndWidth } from "./preprocessing.js";
import { sentenceOf } from "./problem.js";
import { selfTest } from "./self_test.js";

/** @type {Awaited<ReturnType<typeof loadModels>>} */
let models;

const tasks = {
  /** @param {import("./model.js").Description} description */
  async load(description) {
    models = await loadModels(description, (share) => self.postMessage({ share }));
    return { threads: models.threads };
  },

  /**
   * @param {Blob | ImageBitmap} picture
   * @returns {Promise<Classified>}
   */
  async classify(picture) {
    const start = performance.now();
    const decoded = await (picture instanceof Blob ? decode(picture) : pixelsOf(picture));
    const { preprocessing } = models.description;
    const pixels = croppedPixels(decoded, preprocessing);
    const prepareMilliseconds = performance.now() - start;
    const answers = await models.answer(pixels);
    const { width, height } = decoded;
    const crop = heightAndWidth(preprocessing.crop);
    return { pixels, crop, width, height, answers, prepareMilliseconds };
  },

  /** @param {Uint8Array} pixels  RGB, as they come out of the crop. */
  answer: (pixels) => models.answer(pixels),

  selfTest: () => selfTest(models),
};

let last = Promise.resolve();

self.addEventListener("message", ({ data: { id, task, argument } }) => {
  last = last.then(async () => {
    try {
      const result = await tasks[/** @type {keyof typeof tasks} */ (task)](argument);
      self.postMessage({ id, result });
    } catch (error) {
      self.postMessage({ id, problem: sentenceOf(error) });
    }
  });
});
