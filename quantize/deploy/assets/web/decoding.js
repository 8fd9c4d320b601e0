/**
 * From a picture file or a camera's frame to its pixels, as the desktop decodes it: upright, in the
 * colours that are stored, transparency dropped.
 */

import { Problem } from "./problem.js";

/** As on the desktop. */
const MAX_PIXELS = 100_000_000;

/** @type {ImageBitmapOptions} */
const AS_STORED = {
  imageOrientation: "from-image",
  colorSpaceConversion: "none",
  premultiplyAlpha: "none",
};

/**
 * @param {Blob} file
 * @returns {Promise<import("./preprocessing.js").Picture>}
 */
export async function decode(file) {
  if (file.size === 0) throw new Problem("This file is empty.");
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, AS_STORED);
  } catch {
    throw new Problem("This file is not a picture that your browser can read.");
  }
  return pixelsOf(bitmap);
}

/**
 * The pixels of a decoded picture, which is closed.
 * @param {ImageBitmap} bitmap
 * @returns {Promise<import("./preprocessing.js").Picture>}
 */
export async function pixelsOf(bitmap) {
  const { width, height } = bitmap;
  try {
    if (width * height > MAX_PIXELS) {
      throw new Problem(`The picture is too large: ${width} x ${height} pixels.`);
    }
    const drawn = drawnPixels(bitmap);
    return isOpaque(drawn) ? drawn : storedPixels(bitmap);
  } finally {
    bitmap.close();
  }
}

/** @param {ImageBitmap} bitmap */
function drawnPixels(bitmap) {
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d", { willReadFrequently: true, colorSpace: "srgb" });
  if (!context) throw new Problem("The picture is too large for this browser.");
  context.drawImage(bitmap, 0, 0);
  return context.getImageData(0, 0, bitmap.width, bitmap.height);
}

/** @param {ImageData} picture */
function isOpaque({ data }) {
  for (let i = 3; i < data.length; i += 4) if (data[i] !== 255) return false;
  return true;
}

/**
 * The pixels of a picture with transparent parts. A canvas keeps colours multiplied by their
 * opacity, which cannot be undone; a texture keeps them as they are.
 * @param {ImageBitmap} bitmap
 * @returns {import("./preprocessing.js").Picture}
 */
function storedPixels(bitmap) {
  const { width, height } = bitmap;
  const gl = new OffscreenCanvas(1, 1).getContext("webgl2");
  if (!gl || Math.max(width, height) > gl.getParameter(gl.MAX_TEXTURE_SIZE)) {
    throw new Problem(
      "This browser cannot tell the colours of a picture with transparent parts; save it without.",
    );
  }
  const texture = gl.createTexture();
  gl.bindTexture(gl.TEXTURE_2D, texture);
  gl.pixelStorei(gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL, false);
  gl.pixelStorei(gl.UNPACK_COLORSPACE_CONVERSION_WEBGL, gl.NONE);
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, bitmap);
  gl.bindFramebuffer(gl.FRAMEBUFFER, gl.createFramebuffer());
  gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, texture, 0);
  const data = new Uint8ClampedArray(width * height * 4);
  gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, data);
  gl.getExtension("WEBGL_lose_context")?.loseContext();
  return { width, height, data };
}
