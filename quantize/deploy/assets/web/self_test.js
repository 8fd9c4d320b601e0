/**
 * The three pictures that travel with this page, classified here and compared with what the
 * desktop answered.
 *
 * @typedef {{
 *   file: string, samePixels: boolean | null, lastBits: number, sameClass: boolean,
 *   said: import("./answers.js").Said,
 * }} Finding
 */

import { agree, apart, best } from "./answers.js";
import { decode } from "./decoding.js";
import { sha256 } from "./digest.js";
import { fetchFile, fetchJson } from "./fetching.js";
import { croppedPixels } from "./preprocessing.js";
import { Problem } from "./problem.js";

/** Logits that were computed in integers may differ by this where a float add rounds otherwise. */
export const ALLOWED_LAST_BITS = 2;

/**
 * @param {Awaited<ReturnType<import("./model.js").loadModels>>} models
 * @returns {Promise<{passed: boolean, findings: Finding[]}>}
 */
export async function selfTest(models) {
  const expected = await fetchJson("self_test.json");
  checkMeasurable(expected);
  const findings = [];
  for (const picture of expected.images) {
    const bytes = await fetchFile(picture.file);
    const decoded = await decode(new Blob([/** @type {BlobPart} */ (bytes)]));
    const pixels = croppedPixels(decoded, models.description.preprocessing);
    const { logits } = (await models.answer(pixels)).int8;
    const { head } = models.description;
    const [said] = best(logits, 1, head);
    const digest = await sha256(pixels);
    findings.push({
      file: picture.file,
      samePixels: digest === null ? null : digest === picture.pixels_sha256,
      lastBits: apart(logits, picture.logits, expected.last_bit),
      said,
      sameClass: agree(logits, Float32Array.from(picture.logits), head),
    });
  }
  const passed = findings.every(
    ({ samePixels, lastBits, sameClass }) =>
      samePixels !== false && sameClass && lastBits <= ALLOWED_LAST_BITS,
  );
  return { passed, findings };
}

/**
 * Refuse a test that no answer could fail: the logits have to be larger than what is allowed.
 * @param {{last_bit: number, images: {logits: number[]}[]}} expected
 */
function checkMeasurable({ last_bit: lastBit, images }) {
  const logits = images.flatMap((picture) => picture.logits);
  const largest = logits.reduce((most, logit) => Math.max(most, Math.abs(logit)), 0);
  const measurable = lastBit > 0 && ALLOWED_LAST_BITS * lastBit < largest;
  if (!(logits.every(Number.isFinite) && measurable)) {
    throw new Problem("self_test.json is damaged: copy the whole folder again.");
  }
}
