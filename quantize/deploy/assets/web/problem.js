/** What keeps the page from doing its work, in a sentence for its user. */

export class Problem extends Error {}

/**
 * The sentence for an error, whatever it is.
 * @param {unknown} error
 */
export function sentenceOf(error) {
  if (error instanceof Problem) return error.message;
  const detail = error instanceof Error ? error.message : String(error);
  return `Something went wrong that should not: ${detail}`;
}
