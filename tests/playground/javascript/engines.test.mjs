import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { BrowserEngine } from "../../../dmnet/playground/frontend/engines.js";

test("whoever asks again after a failure gets the runtime", async () => {
  const packed = new Uint8Array(gzipSync("")).buffer;
  const session = { run: async () => ({}) };
  const ort = { env: { wasm: {} }, InferenceSession: { create: async () => session }, Tensor: class {} };
  let online = false;
  const assets = {
    get: async (name) => {
      if (!online && name.includes("wasm")) throw new Error("offline");
      return packed;
    },
    module: async () => ort,
  };
  const load = () => BrowserEngine.load(assets, { channels: 32, resize: {} }, "street.onnx.gz");
  await assert.rejects(load, /offline/);
  online = true;
  assert.equal((await load()).small, false);
});
