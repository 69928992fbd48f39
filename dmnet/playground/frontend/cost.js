/**
 * What a DMNet costs: parameters and multiply-adds of its layers, by formulas; dmnet.analysis.counting runs it instead.
 *
 * @typedef {object} Settings what is counted
 * @property {string} network
 * @property {string} sizes k of each scale, "1,3,5,7"; 0 leaves one out
 * @property {number} c channels of a scale
 * @property {number} stride the output stride
 * @property {number} side of the image, in pixels
 *
 * @typedef {object} Layer
 * @property {string} part the box it is in
 * @property {string} name what it does in a dynamic module
 * @property {number} parameters
 * @property {number} work multiply-adds
 */

const RESNET = { c: 512, stride: 8, side: 512, classes: 21, fused: 512, kernel: 3, stage3: 1024, f: 2048 };
/** @type {Record<string, any>} `fused` is the width of the fusion, `kernel` its size; a ResNet has `blocks` */
export const NETWORKS = {
  demo: { c: 16, stride: 8, side: 160, classes: 7, fused: 64, kernel: 1, stage3: 24, f: 64 },
  resnet50: { ...RESNET, blocks: [3, 4, 6, 3] },
  resnet101: { ...RESNET, blocks: [3, 4, 23, 3] },
};
/** @type {[string, number, number, number, number][]} the demo's backbone: part, k, channels in and out, stride of the map */
const PATCHES = [
  ["stage3", 3, 3, 16, 2], ["stage3", 3, 16, 24, 4], ["stage3", 1, 24, 24, 4], ["stage3", 1, 24, 24, 4],
  ["f", 2, 24, 64, 8], ["f", 1, 64, 32, 8], ["f", 1, 32, 64, 8], ["f", 1, 64, 32, 8], ["f", 1, 32, 64, 8],
];

/** @param {string} sizes */
export const sizesOf = (sizes) => sizes.split(",").map(Number);

/**
 * Return what has parameters or does multiply-adds.
 * @param {Settings} settings
 */
export function layersOf({ network, sizes, c, stride, side }) {
  const { blocks, classes, fused, kernel, f, stage3 } = NETWORKS[network];
  const [scales, h] = [sizesOf(sizes), Math.ceil(side / stride) ** 2];
  /** @type {Layer[]} */
  const layers = [];
  const add = (/** @type {string} */ part, /** @type {number} */ parameters, /** @type {number} */ work, name = "") => layers.push({ part, name, parameters, work });
  /**
   * A convolution uses each weight once at every position. A norm learns two numbers for each channel beside them, a bias one.
   * @param {string} part @param {number} k @param {number} n @param {number} m @param {number} positions
   */
  const conv = (part, k, n, m, positions, more = 2, name = "") => add(part, k * k * n * m + more * m, k * k * n * m * positions, name);
  const at = (/** @type {number} */ s) => Math.ceil(side / s) ** 2; // positions at a stride
  if (!blocks) PATCHES.forEach(([part, k, n, m, s]) => conv(part, k, n, m, at(s)));
  else {
    [[3, 32], [32, 32], [32, 64]].forEach(([n, m]) => conv("stage3", 3, n, m, at(2)));
    let [n, s] = [64, 4];
    blocks.forEach((/** @type {number} */ count, /** @type {number} */ stage) => {
      const [part, m, after] = [stage < 3 ? "stage3" : "f", 64 * 2 ** stage, Math.min(4 * 2 ** stage, stride)];
      for (let block = 0; block < count; block++) {
        conv(part, 1, n, m, at(s));
        conv(part, 3, m, m, at(after));
        conv(part, 1, m, 4 * m, at(after));
        if (!block) conv(part, 1, n, 4 * m, at(after)); // the shortcut
        [n, s] = [4 * m, after];
      }
    });
    add("auxiliary", 9 * stage3 * 512 + 2 * 512 + 512 * classes + classes, 0); // a prediction does without
  }
  scales.forEach((k, i) => {
    if (!k) return;
    conv(`scale${i}`, 1, f, c, h, 2, "reduce");
    conv(`scale${i}`, 1, f, c, k * k, 1, "generate");
    add(`scale${i}`, 2 * c, k * k * c * h, "convolve");
  });
  conv("fuse", kernel, f + scales.filter(Boolean).length * c, fused, h);
  conv("classify", 1, fused, classes, h, 1);
  return layers;
}

/**
 * Return the parameters and the multiply-adds of some layers.
 * @param {Layer[]} layers
 * @returns {[number, number]}
 */
export const sumOf = (layers) => [layers.reduce((sum, one) => sum + one.parameters, 0), layers.reduce((sum, one) => sum + one.work, 0)];

/** @param {number} count e.g. "55.54 M" */
export function amount(count) {
  const i = [1e9, 1e6, 1e3].findIndex((size) => count >= size);
  return i < 0 ? String(count) : `${Number((count / 1000 ** (3 - i)).toPrecision(4))} ${"GMk"[i]}`;
}
