/** What the page shows of an answer; texts are set as texts, whatever is in a label. */

import { apart, best, labelOf } from "./answers.js";

const SHOWN = 5;

/** @type {Record<string, string>} */
const NAMES = { int8: "INT8", fp32: "Float" };

/** @param {string} id @returns {any} */
export const element = (id) => document.getElementById(id);

/**
 * An element with classes and children.
 * @param {string} tag
 * @param {string} className
 * @param {...(Node | string)} children
 */
function make(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

/** A probability as people read it; never 100 % unless it is. @param {number} probability */
export function percent(probability) {
  const percents = 100 * probability;
  if (percents > 99.95 && percents < 100) return "> 99.9 %";
  return percents > 0 && percents < 0.05 ? "< 0.1 %" : `${percents.toFixed(1)} %`;
}

/** @param {number} milliseconds */
export function time(milliseconds) {
  return `${milliseconds < 10 ? milliseconds.toFixed(1) : Math.round(milliseconds)} ms`;
}

/**
 * @param {import("./worker.js").Classified} classified
 * @param {import("./model.js").Description} description
 * @param {number | null} framesPerSecond  Of the camera.
 */
export function showAnswers(classified, description, framesPerSecond) {
  const columns = Object.entries(classified.answers).map(([precision, answer]) =>
    column(NAMES[precision], best(answer.logits, SHOWN), description.labels),
  );
  const answers = element("answers");
  answers.replaceChildren(...columns);
  answers.classList.toggle("two", columns.length > 1);
  answers.hidden = false;
  element("hint").hidden = true;
  showTimes(classified, framesPerSecond);
  showPixels(classified);
}

/**
 * Says what the picture shows.
 * @param {import("./worker.js").Classified} classified
 * @param {import("./model.js").Description} description
 */
export function showSentence({ answers: { int8, fp32 } }, { labels, last_bit: lastBit }) {
  const [first] = best(int8.logits, 1);
  const said = `${labelOf(first.index, labels)}, ${percent(first.probability)}`;
  element("status").replaceChildren(make("strong", "", said));
  if (!fp32) return;
  const other = best(fp32.logits, 1)[0].index;
  const agreement = other === first.index ? "Float agrees" : `Float says ${labelOf(other, labels)}`;
  const distance = apart(int8.logits, fp32.logits, lastBit).toFixed(1);
  const details = `${agreement}; the logits differ by at most ${distance} last bits.`;
  element("status").append(make("span", "detail", details));
}

/**
 * @param {string} name
 * @param {ReturnType<typeof best>} classes
 * @param {string[] | null} labels
 */
function column(name, classes, labels) {
  const rows = classes.map(({ index, probability }) => {
    const bar = make("span", "bar");
    bar.style.width = `${Math.max(100 * probability, 0.5)}%`;
    return make(
      "li",
      "",
      make("span", "label", labelOf(index, labels)),
      make("span", "share", percent(probability)),
      make("span", "track", bar),
    );
  });
  return make("div", `answer ${name.toLowerCase()}`, make("h3", "", name), make("ol", "", ...rows));
}

/**
 * @param {import("./worker.js").Classified} classified
 * @param {number | null} framesPerSecond
 */
function showTimes({ answers, prepareMilliseconds, width, height }, framesPerSecond) {
  const runs = Object.entries(answers);
  const infer = runs.map(([name, { milliseconds }]) => [`${NAMES[name]} inference`, time(milliseconds)]);
  const total = runs.reduce((sum, [, answer]) => sum + answer.milliseconds, prepareMilliseconds);
  const facts = [
    ...infer,
    ["Decoding and resizing", time(prepareMilliseconds)],
    ["In all", time(total)],
    framesPerSecond === null
      ? ["Picture", `${width} × ${height}`]
      : ["Camera", `${framesPerSecond.toFixed(1)} frames per second`],
  ];
  const times = element("times");
  times.replaceChildren(
    ...facts.map(([name, value]) => make("div", "", make("dt", "", name), make("dd", "", value))),
  );
  times.hidden = false;
}

/** The pixels as the model is given them. @param {import("./worker.js").Classified} classified */
function showPixels({ pixels, crop }) {
  const image = new ImageData(crop, crop);
  for (let i = 0; i < crop * crop; i++) {
    image.data.set(pixels.subarray(3 * i, 3 * i + 3), 4 * i);
    image.data[4 * i + 3] = 255;
  }
  element("pixels").getContext("2d").putImageData(image, 0, 0);
  element("seen").hidden = false;
}

/**
 * @param {Awaited<ReturnType<typeof import("./self_test.js").selfTest>>} result
 * @param {string[] | null} labels
 */
export function showSelfTest({ passed, findings }, labels) {
  const largest = Math.max(...findings.map(({ lastBits }) => lastBits));
  const same = findings.filter(({ samePixels }) => samePixels).length;
  // Without https the browser has no digests.
  const unknown = findings.some(({ samePixels }) => samePixels === null);
  const pixels = unknown
    ? "without https pixels are not compared"
    : `${same} of ${findings.length} pictures became identical pixels`;
  const verdict = element("verdict");
  verdict.className = `verdict ${passed ? "good" : "bad"}`;
  verdict.textContent =
    `${passed ? "Passed" : "Failed"}: ${pixels}, and the largest difference of a logit is ` +
    `${bits(largest)}.`;
  verdict.hidden = false;
  const rows = findings.map((finding) => {
    const image = document.createElement("img");
    image.src = finding.file;
    image.alt = `Synthetic picture ${finding.file.replace(/\D/g, "")}`;
    return make(
      "tr",
      "",
      make("td", "", image),
      make("td", "", labelOf(finding.index, labels), finding.sameClass ? "" : " (another class)"),
      make("td", "", { true: "identical", false: "different", null: "not compared" }[`${finding.samePixels}`]),
      make("td", "number", bits(finding.lastBits)),
    );
  });
  element("findings").tBodies[0].replaceChildren(...rows);
  element("findings-box").hidden = false;
}

/** @param {number} lastBits */
function bits(lastBits) {
  if (lastBits === 0) return "0 last bits";
  return `${lastBits < 0.01 ? "less than 0.01" : lastBits.toFixed(2)} last bits`;
}
