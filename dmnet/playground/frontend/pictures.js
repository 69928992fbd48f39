/**
 * Pictures of the reader's own. They are read by the browser and go nowhere else.
 *
 * @import { Picture } from "./numbers.js"
 */

const MAX_BYTES = 40e6;
const MAX_PIXELS = 60e6; // a decoded picture of that many needs 240 MB
const LONG_SIDE = 240; // pixels, for a network of drawn scenes, which have 128 and 160
const KEPT = 1024; // pixels of the long side, at least as many as most networks are shown

/** A problem with a file, said in words that a reader understands. */
export class PictureError extends Error {}

/**
 * Return width and height of a PNG, GIF or JPEG from its first bytes, without decoding it; null for others.
 * @param {Uint8Array} bytes
 * @returns {[number, number] | null}
 */
export function declaredSize(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const starts = (/** @type {number[]} */ ...mark) => mark.every((byte, i) => bytes[i] === byte);
  if (starts(0x89, 0x50, 0x4e, 0x47) && bytes.length >= 24) return [view.getUint32(16), view.getUint32(20)];
  if (starts(0x47, 0x49, 0x46) && bytes.length >= 10) return [view.getUint16(6, true), view.getUint16(8, true)];
  if (!starts(0xff, 0xd8)) return null;
  for (let at = 2; at + 9 < bytes.length && bytes[at] === 0xff; at += 2 + view.getUint16(at + 2)) {
    const kind = bytes[at + 1]; // a start of frame is C0 to CF, but for three other tables in between
    if (kind >= 0xc0 && kind <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(kind)) {
      return [view.getUint16(at + 7), view.getUint16(at + 5)];
    }
  }
  return null;
}

/**
 * Return the size at which a picture is shown to a network: the largest within the limits, as dmnet.transforms.fitted_size
 * has it; where there are none, as it is, or scaled to fit.
 * @param {number} width
 * @param {number} height
 * @param {number[] | null} limits long and short side, in pixels
 * @param {number} most the long side where there are no limits
 */
export function fittedSize(width, height, limits = null, most = LONG_SIDE) {
  const [long, short] = [Math.max(width, height), Math.min(width, height)];
  const factor = limits ? Math.min(limits[0] / long, limits[1] / short) : Math.min(1, most / long);
  return [width, height].map((side) => Math.max(16, Math.round(side * factor)));
}

/**
 * Read a picture from a file.
 * @param {Blob} file
 */
export async function readPicture(file) {
  const name = file instanceof File ? `“${file.name}”` : "The picture";
  if (file.type && !file.type.startsWith("image/")) {
    throw new PictureError(`${name} is not a picture. Choose a PNG, JPEG or WebP file.`);
  }
  if (file.size > MAX_BYTES) {
    throw new PictureError(`${name} has ${Math.round(file.size / 1e6)} MB; at most ${MAX_BYTES / 1e6} can be read.`);
  }
  const head = new Uint8Array(await file.slice(0, 1 << 18).arrayBuffer());
  const [declaredWidth, declaredHeight] = declaredSize(head) ?? [0, 0];
  if (declaredWidth * declaredHeight > MAX_PIXELS) {
    throw new PictureError(
      `${name} is ${declaredWidth} × ${declaredHeight} pixels large, too many to open here. Make it smaller first.`,
    );
  }
  try {
    const bitmap = await createImageBitmap(file, { colorSpaceConversion: "none" });
    const picture = kept(bitmap, bitmap.width, bitmap.height);
    bitmap.close();
    return picture;
  } catch {
    throw new PictureError(`${name} cannot be opened: it is damaged, or in a format that this browser does not know.`);
  }
}

/**
 * Return what an image or a video shows now; transparent parts lie on white.
 * @param {CanvasImageSource} source
 * @param {number[]} size width and height, to which it is scaled
 */
function drawn(source, [width, height]) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { willReadFrequently: true }));
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(source, 0, 0, width, height);
  return { canvas, context };
}

/**
 * Return what is kept of an image or a video until a network is chosen for it.
 * @param {CanvasImageSource} source
 * @param {number} width
 * @param {number} height
 */
export const kept = (source, width, height) => drawn(source, fittedSize(width, height, null, KEPT)).canvas;

/**
 * Return a picture as it is shown to a network.
 * @param {HTMLCanvasElement} source
 * @param {number[] | null} limits see `fittedSize`
 * @returns {Picture}
 */
export function toPicture(source, limits) {
  const { canvas, context } = drawn(source, fittedSize(source.width, source.height, limits));
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  const pixels = new Uint8Array((data.length / 4) * 3);
  for (let i = 0; i < data.length / 4; i++) pixels.set(data.subarray(4 * i, 4 * i + 3), 3 * i);
  return { pixels, height: canvas.height, width: canvas.width };
}
