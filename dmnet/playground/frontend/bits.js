/** Maps that came as bits. */

/**
 * Return a map that came as bits, e.g. of tiles, as a byte for each pixel: 0 or 1.
 * @param {{shape: number[], bits: string}} packed base64, the first pixel in the highest bit
 */
export function unpacked({ shape: [height, width], bits }) {
  const bytes = Uint8Array.from(atob(bits), (letter) => letter.charCodeAt(0));
  return { width, height, values: Uint8Array.from({ length: height * width }, (_, i) => (bytes[i >> 3] >> (7 - (i & 7))) & 1) };
}
