/**
 * What the playground alone paints: a picture, its tint, and where two answers differ.
 *
 * @import { Picture } from "./numbers.js"
 */
import { CREAM, fill } from "./paint.js";

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
