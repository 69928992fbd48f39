/**
 * Reading safetensors, gzipped or not: eight bytes say how long the header is, the header (JSON) says where
 * each tensor lies.
 *
 * @typedef {object} Tensor
 * @property {Uint8Array | Uint16Array | Float32Array} data
 * @property {number[]} shape
 */
import { breath } from "./numbers.js";

/**
 * Inflate bytes if they are gzipped. (Some hosts inflate `.gz` files on the way, so the name says nothing.)
 * @param {ArrayBuffer} buffer
 * @returns {Promise<ArrayBuffer>}
 */
export async function inflated(buffer) {
  const [first, second] = new Uint8Array(buffer, 0, Math.min(2, buffer.byteLength));
  if (first !== 0x1f || second !== 0x8b) return buffer;
  const stream = new Blob([buffer]).stream().pipeThrough(new DecompressionStream("gzip"));
  /** @type {Uint8Array<ArrayBuffer>[]} */
  const parts = [];
  const reader = stream.getReader(); // Safari has no `for await` for streams
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    parts.push(next.value);
    if (parts.length % 4 === 0) await breath(); // the parts of 14 MB would come in one long task
  }
  return new Blob(parts).arrayBuffer();
}

/** @type {Record<string, (bytes: ArrayBuffer) => Uint8Array | Uint16Array | Float32Array>} */
const READERS = {
  U8: (bytes) => new Uint8Array(bytes),
  U16: (bytes) => new Uint16Array(bytes),
  F32: (bytes) => new Float32Array(bytes),
};

/**
 * @param {ArrayBuffer} buffer
 * @returns {{tensors: Record<string, Tensor>, metadata: Record<string, string>}}
 */
export function readSafetensors(buffer) {
  const length = Number(new DataView(buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  const { __metadata__: metadata = {}, ...entries } = header;
  /** @type {Record<string, Tensor>} */
  const tensors = {};
  for (const [name, { dtype, shape, data_offsets: place }] of Object.entries(entries)) {
    const bytes = buffer.slice(8 + length + place[0], 8 + length + place[1]); // a copy: aligned
    if (!Object.hasOwn(READERS, dtype)) throw new Error(`${name} is of type ${dtype}`);
    tensors[name] = { data: READERS[dtype](bytes), shape };
  }
  return { tensors, metadata };
}
