/** What logits say: probabilities, the best classes, and how far two answers are apart. */

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

/**
 * The classes of the largest logits, largest first; of equal ones the lower class.
 * @param {Float32Array} logits
 * @param {number} count
 * @returns {{index: number, probability: number}[]}
 */
export function best(logits, count) {
  const probabilities = softmax(logits);
  const order = Array.from(logits.keys()).sort((a, b) => logits[b] - logits[a] || a - b);
  return order.slice(0, count).map((index) => ({ index, probability: probabilities[index] }));
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
