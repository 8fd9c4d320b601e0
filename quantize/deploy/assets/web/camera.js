/** The camera: frame after frame into the models, as fast as they answer. */

import { Problem } from "./problem.js";

/** How much the newest frame counts in the frames per second that are shown. */
const NEWEST = 0.2;

/** Whether there may be one: browsers grant it to https: and to this machine alone. */
export const mayHaveCamera = () => Boolean(navigator.mediaDevices?.getUserMedia);

export class Camera {
  /**
   * @param {HTMLVideoElement} video
   * @param {(frame: ImageBitmap, framesPerSecond: number) => Promise<void>} look
   * @param {(error: unknown) => void} ended  Told if it ends by itself, and why.
   */
  constructor(video, look, ended) {
    this.video = video;
    this.look = look;
    this.ended = ended;
    /** @type {MediaStream | null} */
    this.stream = null;
    this.asked = false;
  }

  get runs() {
    return this.stream !== null;
  }

  async start() {
    if (this.asked || this.runs) return;
    this.asked = true;
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({
        video: { facingMode: { ideal: "environment" } },
      });
    } catch (error) {
      throw new Problem(sentenceFor(error));
    } finally {
      this.asked = false;
    }
    this.video.srcObject = this.stream;
    await this.video.play();
    this.follow(this.stream);
  }

  stop() {
    this.stream?.getTracks().forEach((track) => track.stop());
    this.stream = null;
    this.video.srcObject = null;
  }

  /** @param {MediaStream} stream */
  async follow(stream) {
    let [before, rate] = [performance.now(), 0];
    try {
      while (this.stream === stream) {
        if (!stream.active) throw new Problem("The camera has ended.");
        await new Promise((resolve) => requestAnimationFrame(resolve)); // none while out of sight
        const frame = await createImageBitmap(this.video);
        if (this.stream !== stream) return frame.close();
        const now = performance.now();
        const newest = 1000 / (now - before);
        [before, rate] = [now, rate ? rate + NEWEST * (newest - rate) : newest];
        await this.look(frame, rate);
      }
    } catch (error) {
      if (this.stream !== stream) return;
      this.stop();
      this.ended(error);
    }
  }
}

/** @param {unknown} error */
function sentenceFor(error) {
  const name = error instanceof DOMException ? error.name : "";
  if (name === "NotAllowedError") return "The camera was not allowed: change that in your browser.";
  if (name === "NotFoundError") return "There is no camera.";
  return "The camera cannot be used: another program may have it.";
}
