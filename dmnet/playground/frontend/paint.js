/**
 * Numbers as pixels on a canvas.
 *
 * @import { Grid, Picture } from "./numbers.js"
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
function fill(canvas, height, width, colour) {
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
 * @param {Picture} picture
 */
export function paintPicture(canvas, { pixels, height, width }) {
  fill(canvas, height, width, (i) => pixels.subarray(3 * i, 3 * i + 3));
}

/**
 * Tint a picture red where a map is 1 and blue where it is 0, with a white line where `border` changes.
 * @param {HTMLCanvasElement} canvas
 * @param {Picture} picture
 * @param {Uint8Array} map
 * @param {Uint8Array} border
 */
export function paintRevealed(canvas, { pixels, height, width }, map, border) {
  fill(canvas, height, width, (i) => {
    const [x, y] = [i % width, Math.floor(i / width)];
    const line = (x + 1 < width && border[i] !== border[i + 1]) ||
      (y + 1 < height && border[i] !== border[i + width]);
    if (line) return [255, 255, 255];
    const tint = map[i] ? [222, 92, 60] : [58, 110, 190];
    return tint.map((value, c) => 0.3 * pixels[3 * i + c] + 0.7 * value);
  });
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

/**
 * Paint the labels where they differ from others; the rest is a faint grey map of where things are.
 * @param {HTMLCanvasElement} canvas
 * @param {Uint8Array} labels
 * @param {Uint8Array} others
 * @param {number} height
 * @param {number} width
 * @param {number[][]} palette
 * @param {boolean} dark
 */
export function paintDifference(canvas, labels, others, height, width, palette, dark) {
  const [same, background] = dark ? [[66, 71, 79], [44, 48, 54]] : [[214, 218, 223], [234, 237, 240]];
  fill(canvas, height, width, (i) => {
    if (labels[i] !== others[i]) return palette[labels[i]] ?? CREAM;
    return labels[i] ? same : background;
  });
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

/** The same colours from left to right, for a style sheet. */
export const RAMP = `linear-gradient(90deg, ${STOPS.map((rgb) => `rgb(${rgb.join(" ")})`).join(", ")})`;

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
