/** What the page shows of an answer; texts are set as texts, whatever is in a label. */

import { agree, apart, best, labelOf } from "./answers.js";

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
    column(NAMES[precision], best(answer.logits, SHOWN, description.head), description),
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
export function showSentence({ answers: { int8, fp32 } }, { labels, head, last_bit: lastBit }) {
  element("status").replaceChildren(make("strong", "", sentence(int8.logits, labels, head)));
  if (!fp32) return;
  const alike = head.task !== "regression" && agree(int8.logits, fp32.logits, head);
  const agreement = alike ? "Float agrees" : `Float says ${sentence(fp32.logits, labels, head)}`;
  const distance = apart(int8.logits, fp32.logits, lastBit).toFixed(1);
  const details = `${agreement}; the logits differ by at most ${distance} last bits.`;
  element("status").append(make("span", "detail", details));
}

/**
 * The answer in words.
 * @param {Float32Array} logits
 * @param {string[] | null} labels
 * @param {import("./answers.js").Head} head
 */
function sentence(logits, labels, head) {
  const said = best(logits, logits.length + 1, head);
  const chosen = said.filter((one) => one.chosen);
  const shown = (head.task === "regression" ? said : chosen).slice(0, SHOWN);
  return shown.map((one) => words(one, labels)).join("; ") || "None of the classes";
}

/**
 * A class with its probability, or an output with its number.
 * @param {import("./answers.js").Said} said
 * @param {string[] | null} labels
 */
function words({ index, share, value }, labels) {
  if (share !== null) return `${labelOf(index, labels)}, ${percent(share)}`;
  return `${labels ? labels[index] : `output ${index}`}: ${number(value)}`;
}

/** Six significant digits. @param {number} value */
const number = (value) => `${Number(value.toPrecision(6))}`;

/**
 * @param {string} name
 * @param {ReturnType<typeof best>} classes
 * @param {import("./model.js").Description} description
 */
function column(name, classes, { labels, head }) {
  const rows = classes.map(({ index, share, value, chosen }) => {
    if (share === null) {
      const label = labels ? labels[index] : `output ${index}`;
      return make("li", "", make("span", "label", label), make("span", "share", number(value)));
    }
    const bar = make("span", "bar");
    bar.style.width = `${Math.max(100 * share, 0.5)}%`;
    const no = head.task === "multi-label" && !chosen ? "no " : "";
    return make(
      "li",
      "",
      make("span", "label", `${no}${labelOf(index, labels)}`),
      make("span", "share", percent(share)),
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
  const [height, width] = crop;
  const image = new ImageData(width, height);
  for (let i = 0; i < height * width; i++) {
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
      make("td", "", words(finding.said, labels), finding.sameClass ? "" : " (another answer)"),
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
