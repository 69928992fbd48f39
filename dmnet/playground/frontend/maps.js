/**
 * From a few cells to many pixels: what the maps of the playground and of the live figures have in common.
 *
 * Arrays are flat and row-major, as in NumPy; a comment gives the shape.
 */

/** Label of the pixels that count nowhere. */
export const VOID = 255;

/**
 * Return the pixel nearest to a place that is inside a picture.
 * @param {number} place
 * @param {number} size of the picture
 */
export const inside = (place, size) => Math.max(0, Math.min(Math.round(place), size - 1));

/**
 * Return where each pixel of an upsampled axis reads: bilinear with half-pixel centres, as PyTorch with
 * align_corners=False.
 * @param {number} length of the small axis
 * @param {number} size of the large axis
 */
export function taps(length, size) {
  const first = new Int32Array(size);
  const second = new Int32Array(size);
  const weight = new Float32Array(size); // of the second
  for (let i = 0; i < size; i++) {
    const place = Math.max(0, ((i + 0.5) * length) / size - 0.5);
    first[i] = Math.min(Math.floor(place), length - 1);
    second[i] = Math.min(first[i] + 1, length - 1);
    weight[i] = place - first[i];
  }
  return { first, second, weight };
}

/**
 * Upsample logits and return the class with the largest one at every pixel, [height, width].
 * @param {Float32Array} logits [classes, h, w]
 * @param {number[]} shape classes, h, w
 * @param {number} height
 * @param {number} width
 * @returns {Uint8Array}
 */
export function labelsOf(logits, [classes, h, w], height, width) {
  const rows = taps(h, height);
  const columns = taps(w, width);
  const labels = new Uint8Array(height * width);
  const line = new Float32Array(classes * w); // the logits of one row of pixels, still w wide
  for (let y = 0; y < height; y++) {
    const [above, below, share] = [rows.first[y] * w, rows.second[y] * w, rows.weight[y]];
    for (let c = 0, i = 0; c < classes; c++) {
      for (let x = 0; x < w; x++, i++) {
        const upper = logits[c * h * w + above + x];
        line[i] = upper + (logits[c * h * w + below + x] - upper) * share;
      }
    }
    for (let x = 0; x < width; x++) {
      const [left, right, part] = [columns.first[x], columns.second[x], columns.weight[x]];
      let best = -Infinity;
      let label = 0;
      for (let c = 0; c < classes; c++) {
        const value = line[c * w + left] + (line[c * w + right] - line[c * w + left]) * part;
        if (value > best) {
          best = value;
          label = c;
        }
      }
      labels[y * width + x] = label;
    }
  }
  return labels;
}
