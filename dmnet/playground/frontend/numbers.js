/**
 * What the page computes itself: from pixels to the network's input, from logits to labels and scores.
 *
 * Arrays are flat and row-major, as in NumPy; a comment gives the shape.
 *
 * @typedef {object} Picture
 * @property {Uint8Array} pixels RGB, [height, width, 3]
 * @property {number} height
 * @property {number} width
 *
 * @typedef {object} Grid one channel of a filter or of a response
 * @property {Float32Array} values [height, width]
 * @property {number} height
 * @property {number} width
 */
import { taps, VOID } from "./maps.js";

/** Let the page answer its reader before the work goes on: a promise that the next task of the browser keeps. */
export function breath() {
  const { scheduler } = /** @type {any} */ (globalThis);
  return scheduler?.yield ? scheduler.yield() : new Promise((resolve) => setTimeout(resolve));
}

/** The filter sizes k of the four scales. */
export const SIZES = [1, 3, 5, 7];
const MEAN = [123.675, 116.28, 103.53]; // of ImageNet's RGB values, as in dmnet.transforms
const STD = [58.395, 57.12, 57.375];

/**
 * Return the network's input, [3, height, width].
 * @param {Picture} picture
 * @returns {Float32Array}
 */
export function normalised({ pixels, height, width }) {
  const area = height * width;
  const values = new Float32Array(3 * area);
  for (let channel = 0; channel < 3; channel++) {
    for (let i = 0; i < area; i++) {
      values[channel * area + i] = (pixels[3 * i + channel] - MEAN[channel]) / STD[channel];
    }
  }
  return values;
}

/**
 * Return classes, height and width of logits, which are as fine as the responses, or finer by one factor.
 * @param {number} length how many logits there are
 * @param {number} classes
 * @param {{height: number, width: number}} cells of a response
 */
export function logitsShape(length, classes, { height, width }) {
  const finer = Math.sqrt(length / (classes * height * width));
  return [classes, height * finer, width * finer];
}

/**
 * Return the probability of every class at a pixel.
 * @param {Float32Array} logits [classes, h, w]
 * @param {number[]} shape classes, h, w
 * @param {number[]} size height and width of the picture
 * @param {number[]} pixel x and y
 */
export function chancesAt(logits, [classes, h, w], [height, width], [x, y]) {
  const [rows, columns] = [taps(h, height), taps(w, width)];
  const [left, right, part] = [columns.first[x], columns.second[x], columns.weight[x]];
  const scores = Array.from({ length: classes }, (_, c) => {
    const [above, below] = [rows.first[y], rows.second[y]].map((row) => {
      const at = (c * h + row) * w;
      return logits[at + left] + (logits[at + right] - logits[at + left]) * part;
    });
    return above + (below - above) * rows.weight[y];
  });
  const most = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - most));
  const sum = powers.reduce((total, power) => total + power);
  return powers.map((power) => power / sum);
}

/**
 * Return the intersection over union of every class; null for one that occurs neither here nor there.
 * @param {Uint8Array} labels
 * @param {Uint8Array} truth VOID where it does not count
 * @param {number} classes
 * @returns {(number | null)[]}
 */
export function iou(labels, truth, classes) {
  const hits = new Float64Array(classes);
  const union = new Float64Array(classes);
  for (let i = 0; i < truth.length; i++) {
    if (truth[i] === VOID) continue;
    if (labels[i] === truth[i]) hits[truth[i]]++;
    else union[labels[i]]++;
    union[truth[i]]++;
  }
  return Array.from(union, (pixels, c) => (pixels ? hits[c] / pixels : null));
}

/**
 * Return the share of the pixels, 0..1, that each class has.
 * @param {Uint8Array} labels
 * @param {number} classes
 */
export function sharesOf(labels, classes) {
  const counts = new Float64Array(256);
  for (let i = 0; i < labels.length; i++) counts[labels[i]]++;
  return Array.from(counts.subarray(0, classes), (count) => count / labels.length);
}

/**
 * Return the mean of the numbers that are not null; NaN if all are.
 * @param {(number | null)[]} values
 */
export function mean(values) {
  const known = values.filter((value) => value !== null);
  return known.reduce((sum, value) => sum + value, 0) / known.length;
}

/**
 * Return the share of the pixels, 0..1, whose labels differ.
 * @param {Uint8Array} some
 * @param {Uint8Array} others
 */
export function shareChanged(some, others) {
  let changed = 0;
  for (let i = 0; i < some.length; i++) if (some[i] !== others[i]) changed++;
  return changed / some.length;
}

/**
 * Return how far numbers are from others, in relation to the size of those: the norm of the difference by the norm.
 * @param {Float32Array} some
 * @param {Float32Array} others
 */
export function distanceOf(some, others) {
  let [difference, size] = [0, 0];
  for (let i = 0; i < some.length; i++) {
    difference += (some[i] - others[i]) ** 2;
    size += others[i] ** 2;
  }
  return Math.sqrt(difference / size);
}

/**
 * Return the classes that occur in any of several label maps, in order.
 * @param {Uint8Array[]} maps
 */
export function occurringIn(maps) {
  const found = new Uint8Array(256);
  for (const map of maps) for (let i = 0; i < map.length; i++) found[map[i]] = 1;
  return Array.from(found.keys()).filter((label) => found[label] && label !== VOID);
}

/**
 * Return one channel of [channels, height, width].
 * @param {Float32Array} values
 * @param {number[]} shape channels, height, width
 * @param {number} channel
 * @returns {Grid}
 */
export function channelOf(values, [, height, width], channel) {
  const area = height * width;
  return { values: values.slice(channel * area, (channel + 1) * area), height, width };
}

/**
 * Return the number of a subset of the scales, as dmnet.playground.scenes counts them; -1 if a gate is
 * neither 0 nor 1.
 * @param {number[]} gates
 */
export function subsetNumber(gates) {
  if (gates.some((gate) => gate !== 0 && gate !== 1)) return -1;
  return gates.reduce((number, gate) => 2 * number + gate, 0);
}
