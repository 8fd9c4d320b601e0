/**
 * The models of this page in ONNX Runtime, and what they answer to the pixels of a picture.
 *
 * @typedef {{file: string, sha256: string, bytes: number}} ModelFile
 * @typedef {{
 *   name: string,
 *   classes: number,
 *   labels: string[] | null,
 *   head: import("./answers.js").Head,
 *   preprocessing: import("./preprocessing.js").Preprocessing,
 *   input: import("./preprocessing.js").ModelInput,
 *   last_bit: number,
 *   models: {int8: ModelFile, fp32?: ModelFile},
 * }} Description  What model.json says.
 * @typedef {{logits: Float32Array, milliseconds: number}} Answer
 */

import { sha256 } from "./digest.js";
import { fetchFile } from "./fetching.js";
import { heightAndWidth, toInput } from "./preprocessing.js";
import { Problem } from "./problem.js";

const MAX_THREADS = 4;

/**
 * @param {Description} description
 * @param {(share: number) => void} progress  Told which share of all models has arrived.
 */
export async function loadModels(description, progress) {
  const ort = await loadRuntime();
  const files = Object.entries(description.models);
  const total = files.reduce((sum, [, file]) => sum + file.bytes, 0);
  let before = 0;
  /** @type {Record<string, any>} */
  const sessions = {};
  for (const [precision, file] of files) {
    const bytes = await fetchFile(file.file, (arrived) => progress((before + arrived) / total));
    const digest = await sha256(bytes);
    if (digest !== null && digest !== file.sha256) {
      throw new Problem(`${file.file} is of another version of this page: copy the whole folder.`);
    }
    before += file.bytes;
    sessions[precision] = await openSession(ort, file.file, bytes);
  }
  const models = new Models(ort, sessions, description);
  // The first run compiles and allocates: its time is nobody's.
  const [height, width] = heightAndWidth(description.preprocessing.crop);
  await models.answer(new Uint8Array(3 * height * width));
  return models;
}

class Models {
  /**
   * @param {any} ort
   * @param {Record<string, any>} sessions
   * @param {Description} description
   */
  constructor(ort, sessions, description) {
    this.ort = ort;
    this.sessions = sessions;
    this.description = description;
    this.threads = /** @type {number} */ (ort.env.wasm.numThreads);
  }

  /**
   * @param {Uint8Array} pixels  RGB, shape (H, W, 3) of the crop
   * @returns {Promise<Record<string, Answer>>} One by the name of each model.
   */
  async answer(pixels) {
    const { preprocessing, input } = this.description;
    const { data, dims } = toInput(pixels, preprocessing, input);
    /** @type {Record<string, Answer>} */
    const answers = {};
    for (const [precision, session] of Object.entries(this.sessions)) {
      const tensor = new this.ort.Tensor(input.dtype, data, dims);
      const start = performance.now();
      const outputs = await session.run({ [session.inputNames[0]]: tensor });
      const milliseconds = performance.now() - start;
      const logits = Float32Array.from(outputs[session.outputNames[0]].data);
      answers[precision] = { logits, milliseconds };
    }
    return answers;
  }
}

/** ONNX Runtime, told where its parts lie; several threads only where the page may have them. */
async function loadRuntime() {
  let ort;
  try {
    ort = await import("./ort.wasm.min.mjs");
  } catch (error) {
    throw new Problem(
      "ort.wasm.min.mjs could not be loaded: it has to lie beside this page, and the server has to " +
        "send .mjs files as text/javascript.",
      { cause: error },
    );
  }
  const here = new URL("./", import.meta.url).href;
  ort.env.wasm.wasmPaths = here;
  const cores = globalThis.crossOriginIsolated ? navigator.hardwareConcurrency : 1;
  ort.env.wasm.numThreads = Math.min(cores || 1, MAX_THREADS);
  return ort;
}

/**
 * @param {any} ort
 * @param {string} name
 * @param {Uint8Array} bytes
 */
async function openSession(ort, name, bytes) {
  try {
    return await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"] });
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    throw new Problem(`${name} could not be opened: ${detail.split("\n")[0].slice(0, 200)}`);
  }
}
