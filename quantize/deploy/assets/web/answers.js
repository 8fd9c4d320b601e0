/**
 * What logits say: probabilities, the best classes, and how far two answers are apart.
 *
 * @typedef {{task: "single-label" | "binary" | "multi-label" | "regression", threshold: number}} Head
 * How they are read; above the threshold, a probability, a logit of its own is a yes.
 * @typedef {{index: number, share: number | null, value: number, chosen: boolean}} Said
 * A class with its probability, or a number of a regression, which has none.
 */

/** @type {Head} */
export const SINGLE_LABEL = { task: "single-label", threshold: 0.5 };

/**
 * @param {Float32Array} logits
 * @returns {Float64Array} Of sum 1.
 */
export function softmax(logits) {
  const largest = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const powers = Float64Array.from(logits, (logit) => Math.exp(logit - largest));
  const total = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / total);
}

/** @param {number} logit */
const sigmoid = (logit) => 1 / (1 + Math.exp(-logit));

/**
 * The classes of the largest logits, largest first; of equal ones the lower class. Of one logit the
 * class that it decides for and the other one; of a regression all numbers.
 * @param {Float32Array} logits
 * @param {number} count
 * @param {Head} [head]
 * @returns {Said[]}
 */
export function best(logits, count, { task, threshold } = SINGLE_LABEL) {
  const yes = Array.from(logits, (logit) => logit > Math.log(threshold / (1 - threshold)));
  if (task === "regression") {
    return Array.from(logits, (value, index) => ({ index, share: null, value, chosen: false }));
  }
  if (task === "binary") {
    const chosen = Number(yes[0]);
    return [chosen, 1 - chosen].slice(0, count).map((index) => {
      const value = index === 1 ? logits[0] : -logits[0];
      return { index, share: sigmoid(value), value, chosen: index === chosen };
    });
  }
  const order = Array.from(logits.keys()).sort((a, b) => logits[b] - logits[a] || a - b);
  const several = task === "multi-label";
  const shares = several ? Array.from(logits, sigmoid) : softmax(logits);
  return order.slice(0, count).map((index, place) => ({
    index,
    share: shares[index],
    value: logits[index],
    chosen: several ? yes[index] : place === 0,
  }));
}

/**
 * Whether two answers decide the same; those of a regression decide nothing.
 * @param {Float32Array} one
 * @param {Float32Array} other
 * @param {Head} head
 */
export function agree(one, other, head) {
  const [here, there] = [one, other].map((logits) =>
    best(logits, logits.length + 1, head)
      .filter(({ chosen }) => chosen)
      .map(({ index }) => index)
      .sort((a, b) => a - b),
  );
  return here.join() === there.join();
}

/**
 * The largest difference of two answers, in last bits.
 * @param {ArrayLike<number>} one
 * @param {ArrayLike<number>} other
 * @param {number} lastBit
 */
export function apart(one, other, lastBit) {
  if (one.length !== other.length) return Infinity;
  let largest = 0;
  for (let i = 0; i < one.length; i++) {
    const difference = Math.abs(one[i] - other[i]);
    if (!(difference <= largest)) largest = difference; // takes over NaN as well
  }
  return largest / lastBit;
}

/**
 * @param {number} index
 * @param {string[] | null} labels
 */
export function labelOf(index, labels) {
  return labels ? labels[index] : `class ${index}`;
}
