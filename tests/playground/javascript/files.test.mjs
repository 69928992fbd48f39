/** What the front end reads: scenes, addresses, the heads of picture files. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { fromFragment, pixelIn, START, toFragment } from "../../../dmnet/playground/frontend/address.js";
import { precomputed } from "../../../dmnet/playground/frontend/engines.js";
import { diverging } from "../../../dmnet/playground/frontend/paint.js";
import { declaredSize, fittedSize } from "../../../dmnet/playground/frontend/pictures.js";
import { inflated, readSafetensors } from "../../../dmnet/playground/frontend/safetensors.js";

/** Write safetensors: a header's length, the header, the data. */
function written(header, data) {
  const text = new TextEncoder().encode(JSON.stringify(header));
  const bytes = new Uint8Array(8 + text.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  bytes.set(data, 8 + text.length);
  return bytes;
}

const FILE = written({
  __metadata__: { fact: "yes" },
  bytes: { dtype: "U8", shape: [3], data_offsets: [0, 3] },
  number: { dtype: "F32", shape: [1, 1], data_offsets: [3, 7] }, // not aligned
}, [7, 8, 9, 0, 0, 128, 63]);

test("safetensors are read, gzipped or not", async () => {
  for (const file of [FILE, new Uint8Array(gzipSync(FILE))]) {
    const buffer = file.buffer.slice(file.byteOffset, file.byteOffset + file.byteLength);
    const { tensors, metadata } = readSafetensors(await inflated(buffer));
    assert.deepEqual([...tensors.bytes.data], [7, 8, 9]);
    assert.deepEqual([...tensors.number.data], [1]);
    assert.equal(metadata.fact, "yes");
  }
});

test("another type of number is refused", () => {
  const file = written({ half: { dtype: "F16", shape: [1], data_offsets: [0, 2] } }, [0, 0]);
  assert.throws(() => readSafetensors(file.buffer), /half is of type F16/);
});

test("an address holds the state, and nothing that makes no sense", () => {
  const known = (scene) => scene.startsWith("scale-");
  const state = { scene: "scale-26", gates: [1, 0, 0.55, 2], channel: 3, donor: "scale-1", reveal: 1, edits: ["move 3 45 -6", "exchange warm"] };
  assert.match(toFragment(state), /&edits=move\+3\+45\+-6,exchange\+warm$/);
  assert.deepEqual(fromFragment(toFragment(state), START, known), state);
  assert.equal(toFragment({ ...START, scene: "scale-26" }), "#play&scene=scale-26");
  assert.deepEqual(pixelIn(toFragment(state, [12, 159])), [12, 159]);
  for (const fragment of ["", "#x&pixel=1,2", "#play&pixel=1", "#play&pixel=-1,2", "#play&pixel=1,2,3"]) assert.equal(pixelIn(fragment), null);
  const start = { ...START, scene: "scale-1" };
  for (const fragment of ["", "#three-lines", "#play&scene=other&gates=1,1&channel=-9&donor=x", "#play&gates=1,1,1,3", "#play&edits=remove+1"]) {
    assert.deepEqual(fromFragment(fragment, start, known), start);
  }
  assert.deepEqual(fromFragment("#play&scene=scale-1&edits=paint+it,remove+1", START, known).edits, ["remove 1"]);
});

test("the size of a picture is read from its head", () => {
  const png = new Uint8Array(24);
  png.set([0x89, 0x50, 0x4e, 0x47]);
  new DataView(png.buffer).setUint32(16, 30000);
  new DataView(png.buffer).setUint32(20, 20000);
  assert.deepEqual(declaredSize(png), [30000, 20000]);
  const jpeg = Uint8Array.of(0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 1, 0xff, 0xc0, 0, 11, 8, 1, 0, 2, 0, 0, 0, 0, 0);
  assert.deepEqual(declaredSize(jpeg), [512, 256]);
  assert.equal(declaredSize(Uint8Array.of(1, 2, 3)), null);
});

test("a large picture is scaled, a small one is not", () => {
  assert.deepEqual(fittedSize(4000, 2000), [240, 120]);
  assert.deepEqual(fittedSize(128, 100), [128, 100]);
  assert.deepEqual(fittedSize(10000, 1), [240, 16]);
  assert.deepEqual(fittedSize(4000, 2000, null, 1024), [1024, 512]);
});

test("a picture for a network with a size is as large as that lets it be", () => {
  const limits = [480, 360];
  assert.deepEqual(fittedSize(4000, 3000, limits), [480, 360]);
  assert.deepEqual(fittedSize(3000, 4000, limits), [360, 480]);
  assert.deepEqual(fittedSize(4000, 2000, limits), [480, 240]);
  assert.deepEqual(fittedSize(137, 100, limits), [480, 350]);
});

test("only the sixteen subsets have an answer beforehand", () => {
  const tensors = { answers: { data: Uint8Array.from({ length: 16 }, (_, i) => i), shape: [16, 1, 1] } };
  for (const k of [1, 3, 5, 7]) {
    for (const name of ["filters", "responses"]) tensors[`${name}_${k}`] = { data: Float32Array.of(k), shape: [1, 1] };
  }
  const scene = { picture: { height: 1, width: 1 }, tensors };
  assert.deepEqual([...precomputed(scene, [1, 0, 1, 1]).labels], [11]);
  assert.equal(precomputed(scene, [1, 0.5, 1, 1]), null);
  assert.equal(precomputed({ ...scene, tensors: {} }, [1, 1, 1, 1]), null);
});

test("the colour scale is white in the middle, blue below, red above", () => {
  assert.deepEqual(diverging(0), [247, 247, 247]);
  assert.ok(diverging(-1)[2] > diverging(-1)[0]);
  assert.ok(diverging(1)[0] > diverging(1)[2]);
  assert.deepEqual(diverging(9), diverging(1));
});
