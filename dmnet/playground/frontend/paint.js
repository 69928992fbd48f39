/**
 * Numbers as pixels on a canvas.
 *
 * @import { Grid } from "./numbers.js"
 */
import { VOID } from "./maps.js";

export const CREAM = [224, 224, 192]; // VOC's colour of void

/**
 * Fill a canvas, at its natural size, pixel by pixel.
 * @param {HTMLCanvasElement} canvas
 * @param {number} height
 * @param {number} width
 * @param {(i: number) => ArrayLike<number>} colour RGB of pixel i, 0..255
 */
export function fill(canvas, height, width, colour) {
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const image = context.createImageData(width, height);
  const { data } = image;
  for (let i = 0; i < height * width; i++) {
    const rgb = colour(i);
    data[4 * i] = rgb[0];
    data[4 * i + 1] = rgb[1];
    data[4 * i + 2] = rgb[2];
    data[4 * i + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {Uint8Array} labels
 * @param {number} height
 * @param {number} width
 * @param {number[][]} palette
 */
export function paintLabels(canvas, labels, height, width, palette) {
  fill(canvas, height, width, (i) => (labels[i] === VOID ? CREAM : palette[labels[i]] ?? CREAM));
}

// Where the colour scale of -1..1 passes: matplotlib's RdBu_r, in steps of a quarter.
const STOPS = [
  [5, 48, 97], [33, 102, 172], [67, 147, 195], [146, 197, 222], [247, 247, 247],
  [244, 165, 130], [214, 96, 77], [178, 24, 43], [103, 0, 31],
];

/**
 * Return the colour of a number in -1..1: blue, white, red.
 * @param {number} value
 * @returns {number[]}
 */
export function diverging(value) {
  const place = (Math.max(-1, Math.min(1, value)) + 1) * 4;
  const stop = Math.min(Math.floor(place), 7);
  return STOPS[stop].map((low, c) => Math.round(low + (STOPS[stop + 1][c] - low) * (place - stop)));
}

/**
 * Paint a filter or a response: red is positive, blue negative, the largest magnitude the darkest.
 * @param {HTMLCanvasElement} canvas
 * @param {Grid} grid
 * @param {number} [most] what the darkest colour stands for
 */
export function paintGrid(canvas, { values, height, width }, most) {
  const limit = (most ?? values.reduce((found, value) => Math.max(found, Math.abs(value)), 0)) || 1;
  fill(canvas, height, width, (i) => diverging((0.9 * values[i]) / limit));
}
