/** The page: what its buttons do. */

import { Camera, mayHaveCamera } from "./camera.js";
import { Engine } from "./engine.js";
import { fetchJson } from "./fetching.js";
import { keepCopy } from "./offline.js";
import { Problem, sentenceOf } from "./problem.js";
import { element, showAnswers, showSelfTest, showSentence } from "./view.js";

const status = element("status");
const picture = element("picture");
const video = element("video");
const engine = new Engine((share) => say(`Loading the model: ${Math.floor(100 * share)} %`));

/** @type {import("./model.js").Description} */
let description;
const ready = load();
let newest = 0;
let samples = 0;

/** @param {string} words */
function say(words) {
  status.textContent = words;
}

/** @param {unknown} error */
function complain(error) {
  element("problem").textContent = sentenceOf(error);
  element("problem").hidden = false;
  say("");
}

async function load() {
  description = await fetchJson("model.json");
  await engine.load(description);
  say("Ready: choose a picture.");
}

/**
 * Does what a user asked for; what goes wrong is said.
 * @param {() => Promise<void>} work
 */
async function attempt(work) {
  element("problem").hidden = true;
  try {
    await ready;
    await work();
  } catch (error) {
    complain(error);
  }
}

/**
 * @param {Blob} file
 * @param {string} name
 */
function classify(file, name) {
  const turn = ++newest;
  stopCamera();
  show(file, name);
  return attempt(async () => {
    say("Looking …");
    const classified = await engine.classify(file);
    if (turn !== newest) return; // another picture was chosen meanwhile
    showAnswers(classified, description, null);
    showSentence(classified, description);
    // For whoever drives this page: eightbit's own benchmark listens.
    document.dispatchEvent(new CustomEvent("classified", { detail: { name, ...classified } }));
  });
}

/**
 * Shows a picture in place of the one before.
 * @param {Blob} file
 * @param {string} name
 */
function show(file, name) {
  URL.revokeObjectURL(picture.src);
  picture.src = URL.createObjectURL(file);
  picture.alt = name;
  picture.hidden = false;
  video.hidden = true;
  element("invitation").hidden = true;
  for (const id of ["answers", "times", "seen"]) element(id).hidden = true;
}

/** @param {FileList | undefined} files */
function classifyFirst(files) {
  if (files?.length) classify(files[0], files[0].name);
  else complain(new Problem("That was no file: drop or paste a picture."));
}

async function sample() {
  const { images } = await fetchJson("self_test.json");
  const { file } = images[samples++ % images.length];
  const response = await fetch(file);
  if (!response.ok) throw new Problem(`${file} is not beside this page.`);
  await classify(await response.blob(), "A synthetic picture");
}

const camera = new Camera(
  video,
  async (frame, framesPerSecond) => {
    const classified = await engine.classify(frame);
    if (camera.runs) showAnswers(classified, description, framesPerSecond);
  },
  (error) => {
    stopCamera();
    complain(error);
  },
);

async function startCamera() {
  const turn = ++newest;
  say("Waiting for the camera …");
  await camera.start();
  if (turn !== newest) return camera.stop(); // a picture was chosen meanwhile
  picture.hidden = true;
  video.hidden = false;
  element("invitation").hidden = true;
  element("camera").textContent = "Stop the camera";
  say("The camera runs.");
}

function stopCamera() {
  element("camera").textContent = "Use the camera";
  if (!camera.runs) return;
  camera.stop();
  say("The camera has stopped.");
}

async function selfTest() {
  const button = element("run-self-test");
  button.disabled = true;
  try {
    showSelfTest(await engine.selfTest(), description.labels);
  } finally {
    button.disabled = false;
  }
}

picture.addEventListener("error", () => {
  picture.hidden = true;
  element("invitation").hidden = false;
});
element("choose").addEventListener("click", () => element("file").click());
element("file").addEventListener("change", () => {
  classifyFirst(element("file").files);
  element("file").value = ""; // so that the same file can be chosen again
});
element("sample").addEventListener("click", () => attempt(sample));
element("run-self-test").addEventListener("click", () => attempt(selfTest));
element("camera").hidden = !mayHaveCamera();
element("camera").addEventListener("click", () =>
  camera.runs ? stopCamera() : attempt(startCamera),
);

document.addEventListener("paste", (event) => classifyFirst(event.clipboardData?.files));
for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    element("drop").classList.add("over");
  });
}
for (const kind of ["dragleave", "drop"]) {
  document.addEventListener(kind, () => element("drop").classList.remove("over"));
}
document.addEventListener("drop", (event) => {
  event.preventDefault();
  classifyFirst(event.dataTransfer?.files);
});

ready.catch(complain);
keepCopy((line) => {
  element("offline").textContent = line;
});
