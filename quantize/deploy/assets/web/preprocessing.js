/**
 * From decoded pixels to the network's input: the arithmetic of eightbit's preprocessing, which is
 * that of Pillow's antialiased resize and of numpy's float32, so that the numbers are the
 * very same.
 *
 * @typedef {number | [number, number]} Size  The side of a square, or height and width.
 * @typedef {{resize: Size, crop: Size, mean: number[], std: number[], interpolation?: string,
 *   squash?: boolean}}
 *   Preprocessing
 * @typedef {{width: number, height: number, data: Uint8ClampedArray}} Picture  RGBA, rows from the
 *   top; its alpha is not looked at.
 * @typedef {{name: string, dtype: "float32" | "uint8", layout: "NCHW" | "NHWC"}} ModelInput
 */

import { Problem } from "./problem.js";

/** Weights are integers of so many fractional bits, as Pillow's are for 8 bit images. */
const PRECISION_BITS = 22;
const HALF = 1 << (PRECISION_BITS - 1);

/**
 * How far a kernel reaches on either side, and its weight at a distance from the centre.
 * @typedef {{support: number, at: (distance: number) => number}} Kernel
 */

/** Pillow's, by the name in the metadata. @type {Record<string, Kernel>} */
const KERNELS = {
  bilinear: { support: 1, at: (x) => Math.max(1 - Math.abs(x), 0) },
  bicubic: { support: 2, at: cubic },
};

/**
 * Keys's cubic convolution with a = -0.5, in Pillow's order of operations.
 * @param {number} distance
 */
function cubic(distance) {
  const a = -0.5;
  const x = Math.abs(distance);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

/** As on the desktop: a strip of 1 x 30000 pixels would become gigabytes. */
const MAX_RESIZED_PIXELS = 100_000_000;

/**
 * Height and width of a size.
 * @param {Size} size
 * @returns {[number, number]}
 */
export function heightAndWidth(size) {
  return typeof size === "number" ? [size, size] : size;
}

/**
 * Width and height after resizing.
 * @param {number} width
 * @param {number} height
 * @param {Size} resize
 * @param {boolean} squash  Whether it becomes that size, whatever its ratio.
 * @returns {[number, number]}
 */
export function resizedSize(width, height, resize, squash) {
  const [tall, wide] = heightAndWidth(resize);
  if (squash) return [wide, tall];
  const resized =
    tall === wide ? byShorter(width, height, tall) : covering(width, height, [tall, wide]);
  const [long, short] = [Math.max(...resized), Math.min(...resized)];
  if (short * long > MAX_RESIZED_PIXELS) {
    throw new Problem(
      `The picture is too narrow: ${width} x ${height} pixels would become ${long} x ${short}.`,
    );
  }
  return resized;
}

/**
 * The shorter side as asked for, the other rounded down.
 * @param {number} width
 * @param {number} height
 * @param {number} shorter
 * @returns {[number, number]}
 */
function byShorter(width, height, shorter) {
  const longer = Math.trunc((shorter * Math.max(width, height)) / Math.min(width, height));
  return width <= height ? [shorter, longer] : [longer, shorter];
}

/**
 * The smallest that covers a height and a width; each rounded to the nearest, halves to even.
 * @param {number} width
 * @param {number} height
 * @param {[number, number]} covered
 * @returns {[number, number]}
 */
function covering(width, height, covered) {
  const ratio = Math.min(height / covered[0], width / covered[1]);
  return [halfToEven(width / ratio), halfToEven(height / ratio)];
}

/** @param {number} x */
function halfToEven(x) {
  const down = Math.floor(x);
  if (x - down !== 0.5) return Math.round(x);
  return down % 2 === 0 ? down : down + 1;
}

/**
 * Where the crop begins along one axis; negative where the picture is smaller. Half of an odd
 * number is rounded to even when pixels are cut off, and down when black is put around.
 * @param {number} length
 * @param {number} side
 */
export function cropOffset(length, side) {
  if (length < side) return -Math.floor((side - length) / 2);
  const half = Math.floor((length - side) / 2);
  return (length - side) % 2 === 1 && half % 2 === 1 ? half + 1 : half;
}

/**
 * Resize and crop: each pixel is a weighted mean of those around it, along one axis first, rounded
 * to 8 bits, then along the other. Pixels that the crop cuts off are never computed.
 * @param {Picture} picture
 * @param {Preprocessing} preprocessing
 * @returns {Uint8Array} RGB, shape (H, W, 3) of the crop; black outside of the picture.
 */
export function croppedPixels(picture, { resize, crop, interpolation = "bilinear", squash = false }) {
  const kernel = KERNELS[interpolation];
  const { width, height } = picture;
  const source = { width, height, channels: 4, data: picture.data };
  const [newWidth, newHeight] = resizedSize(width, height, resize, squash);
  const [cropHeight, cropWidth] = heightAndWidth(crop);
  const across = windowOf(newWidth, cropWidth);
  const down = windowOf(newHeight, cropHeight);
  const columns = tapsFor(width, newWidth, across, kernel);
  const rows = tapsFor(height, newHeight, down, kernel);
  const { data } = columnsFirst(width - newWidth, height - newHeight)
    ? alongRows(alongColumns(source, rows, columns), columns, null)
    : alongColumns(alongRows(source, columns, rows), rows, null);
  const output = new Uint8Array(cropHeight * cropWidth * 3);
  for (let y = 0; y < down.count; y++) {
    const row = data.subarray(y * across.count * 3, (y + 1) * across.count * 3);
    output.set(row, ((y + down.before) * cropWidth + across.before) * 3);
  }
  return output;
}

/**
 * Whether Pillow, from version 13 on, begins with the columns: where many more rows are lost.
 * @param {number} lostColumns
 * @param {number} lostRows
 */
function columnsFirst(lostColumns, lostRows) {
  return lostRows > 0 && lostRows > 2 * lostColumns;
}

/**
 * What the model is handed: pixels as they are, or (x / 255 - mean) / std, each step rounded to
 * float32.
 * @param {Uint8Array} pixels  RGB, shape (H, W, 3) of the crop
 * @param {Preprocessing} preprocessing
 * @param {ModelInput} input
 * @returns {{data: Float32Array | Uint8Array, dims: number[]}} A batch of one.
 */
export function toInput(pixels, { crop, mean, std }, { dtype, layout }) {
  const [height, width] = heightAndWidth(crop);
  if (layout === "NHWC") return { data: pixels, dims: [1, height, width, 3] };
  const plane = height * width;
  const data = dtype === "uint8" ? new Uint8Array(3 * plane) : new Float32Array(3 * plane);
  for (let channel = 0; channel < 3; channel++) {
    const numbers = dtype === "uint8" ? null : normalised(mean[channel], std[channel]);
    for (let i = 0; i < plane; i++) {
      const pixel = pixels[3 * i + channel];
      data[channel * plane + i] = numbers ? numbers[pixel] : pixel;
    }
  }
  return { data, dims: [1, 3, height, width] };
}

/**
 * The 256 numbers that a channel's pixels become.
 * @param {number} mean
 * @param {number} std
 */
function normalised(mean, std) {
  const numbers = new Float32Array(256);
  const [m, s] = [Math.fround(mean), Math.fround(std)];
  for (let pixel = 0; pixel < 256; pixel++) {
    numbers[pixel] = Math.fround(Math.fround(Math.fround(pixel / 255) - m) / s);
  }
  return numbers;
}

/**
 * Which part of a resized axis the crop takes, and how much black comes before it.
 * @param {number} length
 * @param {number} side
 */
function windowOf(length, side) {
  const offset = cropOffset(length, side);
  const first = Math.max(offset, 0);
  return { first, count: Math.min(offset + side, length) - first, before: first - offset };
}

/**
 * For the positions of a window on a resized axis, where their sources begin, how many there are,
 * and the integer weight of each: a kernel as wide as the scale, cut off at the border, of sum 1.
 * @param {number} oldLength
 * @param {number} newLength
 * @param {{first: number, count: number}} window
 * @param {Kernel} kernel
 */
function tapsFor(oldLength, newLength, { first, count }, kernel) {
  const scale = oldLength / newLength;
  const stretch = Math.max(scale, 1);
  const support = kernel.support * stretch;
  const inverse = 1 / stretch;
  const stride = Math.ceil(support) * 2 + 1;
  const starts = new Int32Array(count);
  const counts = new Int32Array(count);
  const weights = new Int32Array(count * stride);
  const exact = new Float64Array(stride);
  for (let i = 0; i < count; i++) {
    const centre = (first + i + 0.5) * scale;
    const start = Math.max(Math.trunc(centre - support + 0.5), 0);
    const taps = Math.min(Math.trunc(centre + support + 0.5), oldLength) - start;
    let total = 0;
    for (let k = 0; k < taps; k++) {
      exact[k] = kernel.at((k + start - centre + 0.5) * inverse);
      total += exact[k];
    }
    for (let k = 0; k < taps; k++) {
      const share = total === 0 ? exact[k] : exact[k] / total;
      weights[i * stride + k] = Math.trunc((share < 0 ? -0.5 : 0.5) + share * (1 << PRECISION_BITS));
    }
    starts[i] = start;
    counts[i] = taps;
  }
  const end = starts[count - 1] + counts[count - 1];
  return { starts, counts, weights, stride, count, begin: starts[0], end };
}

/**
 * Pixels between the passes: RGB, or RGBA whose alpha is not looked at.
 * @typedef {{width: number, height: number, channels: number, data: ArrayLike<number>}} Pixels
 * @typedef {ReturnType<typeof tapsFor>} Taps
 */

/**
 * The pass along the rows.
 * @param {Pixels} pixels
 * @param {Taps} taps  Of its columns.
 * @param {Taps | null} next  Of its rows, if the other pass comes after: no more are computed than
 *   that one needs. If it came before, columns begin with the first that this one needs.
 */
function alongRows({ width, height, channels, data }, taps, next) {
  const { starts, counts, weights, stride, count } = taps;
  const [top, bottom, origin] = next ? [next.begin, next.end, 0] : [0, height, taps.begin];
  const output = new Uint8Array((bottom - top) * count * 3);
  let to = 0;
  for (let y = top; y < bottom; y++) {
    for (let x = 0; x < count; x++) {
      let from = (y * width + starts[x] - origin) * channels;
      let red = HALF;
      let green = HALF;
      let blue = HALF;
      for (let k = x * stride; k < x * stride + counts[x]; k++, from += channels) {
        red += data[from] * weights[k];
        green += data[from + 1] * weights[k];
        blue += data[from + 2] * weights[k];
      }
      output[to++] = clip(red);
      output[to++] = clip(green);
      output[to++] = clip(blue);
    }
  }
  return { width: count, height: bottom - top, channels: 3, data: output };
}

/**
 * The pass along the columns; see `alongRows`.
 * @param {Pixels} pixels
 * @param {Taps} taps
 * @param {Taps | null} next
 */
function alongColumns({ width, channels, data }, taps, next) {
  const { starts, counts, weights, stride, count } = taps;
  const [left, right, origin] = next ? [next.begin, next.end, 0] : [0, width, taps.begin];
  const output = new Uint8Array(count * (right - left) * 3);
  const row = width * channels;
  let to = 0;
  for (let y = 0; y < count; y++) {
    const begin = (starts[y] - origin) * row;
    for (let x = left; x < right; x++) {
      for (let channel = 0; channel < 3; channel++) {
        let from = begin + x * channels + channel;
        let sum = HALF;
        for (let k = y * stride; k < y * stride + counts[y]; k++, from += row) {
          sum += data[from] * weights[k];
        }
        output[to++] = clip(sum);
      }
    }
  }
  return { width: right - left, height: count, channels: 3, data: output };
}

/** @param {number} sum */
function clip(sum) {
  return Math.min(Math.max(sum >> PRECISION_BITS, 0), 255);
}
