/**
 * What a dynamic filter does, on one channel: averages over bins, and a correlation.
 *
 * @typedef {number[][]} Rows
 */

/**
 * Return where bin i of `bins` begins and ends, as PyTorch's adaptive average pooling has it.
 * @param {number} i
 * @param {number} bins
 * @param {number} length
 */
export const binOf = (i, bins, length) => [Math.floor((i * length) / bins), Math.ceil(((i + 1) * length) / bins)];

/**
 * Return the averages over a grid of k by k bins.
 * @param {Rows} image
 * @param {number} k
 * @returns {Rows}
 */
export function pool(image, k) {
  const bins = Array.from({ length: k }, (_, i) => i);
  return bins.map((i) => bins.map((j) => {
    const part = image.slice(...binOf(i, k, image.length)).flatMap((row) => row.slice(...binOf(j, k, row.length)));
    return part.reduce((sum, value) => sum + value, 0) / part.length;
  }));
}

/**
 * Return the products behind a number of the response: image times filter, row by row; null outside of the image.
 * @param {Rows} image
 * @param {Rows} filter its middle is at floor(k / 2), for even k too
 * @param {number} row
 * @param {number} column
 * @returns {(number[] | null)[][]} the two factors
 */
export function factors(image, filter, row, column) {
  const reach = Math.floor(filter.length / 2);
  return filter.map((taps, u) => taps.map((tap, v) => {
    const pixel = image[row + u - reach]?.[column + v - reach];
    return pixel === undefined ? null : [pixel, tap];
  }));
}

/**
 * Slide the filter over the image; outside there are zeros.
 * @param {Rows} image
 * @param {Rows} filter
 * @returns {Rows}
 */
export const correlate = (image, filter) => image.map((line, y) => line.map((_, x) =>
  factors(image, filter, y, x).flat().reduce((sum, pair) => sum + (pair ? pair[0] * pair[1] : 0), 0)));
