/**
 * Who answers: files computed beforehand, the network in this browser, or the kernel of a notebook.
 *
 * @import { Grid, Picture } from "./numbers.js"
 * @import { Tensor } from "./safetensors.js"
 *
 * @typedef {object} Inquiry
 * @property {Picture} picture
 * @property {number[]} gates
 * @property {number} channel of the filters and responses wanted
 * @property {Picture | null} donor the picture whose filters are lent, if any
 *
 * @typedef {object} Answer
 * @property {Uint8Array} labels [height, width]
 * @property {Float32Array | null} logits [classes, h, w], where a network has just computed them
 * @property {Grid[]} filters one per scale
 * @property {Grid[]} responses one per scale, before the gate
 *
 * @typedef {object} Assets where files come from
 * @property {(name: string) => Promise<ArrayBuffer>} get
 * @property {(name: string) => Promise<any>} module imports a JavaScript module
 *
 * @typedef {{data: Float32Array, dims: number[]}} Output of a network, or its input
 * @typedef {(inputs: Record<string, Output>) => Promise<Record<string, Output>>} Compute
 *
 * @typedef {object} Scene a scene's file, unpacked
 * @property {Picture} picture
 * @property {Uint8Array | null} truth
 * @property {Record<string, Tensor>} tensors
 * @property {Facts} facts
 *
 * @typedef {object} Facts
 * @property {string[]} hidden names of the maps in the tensor `hidden`
 * @property {Question[]} questions what objects ask of the ground
 * @property {number[][]} objects label, x and y of each
 *
 * @typedef {object} Question see dmnet.playground.catalogue.Question
 * @property {string} text
 * @property {number[][]} pairs
 * @property {string} seen
 * @property {string} hidden
 * @property {boolean} majority
 */
import { labelsOf } from "./maps.js";
import { breath, channelOf, normalised, SIZES, subsetNumber } from "./numbers.js";
import { inflated, readSafetensors } from "./safetensors.js";

/** @type {Facts} of a picture that was not drawn */
export const NO_FACTS = { hidden: [], questions: [], objects: [] };

/**
 * Files beside the page: `base` is the folder of playground.js.
 * @param {URL} base
 * @returns {Assets}
 */
export function pageAssets(base) {
  return {
    async get(name) {
      const response = await fetch(new URL(name, base));
      if (!response.ok) throw new Error(`${name}: ${response.status} ${response.statusText}`);
      return response.arrayBuffer();
    },
    module: (name) => import(new URL(name, base).href),
  };
}

/**
 * Read a scene's file.
 * @param {Assets} assets
 * @param {string} file
 * @returns {Promise<Scene>}
 */
export async function readScene(assets, file) {
  const { tensors, metadata } = readSafetensors(await inflated(await assets.get(file)));
  const [height, width] = tensors.image.shape;
  return {
    picture: { pixels: /** @type {Uint8Array} */ (tensors.image.data), height, width },
    truth: /** @type {Uint8Array | undefined} */ (tensors.truth?.data) ?? null,
    tensors,
    facts: metadata.facts ? JSON.parse(metadata.facts) : NO_FACTS,
  };
}

/**
 * Return the answer that came with a scene; null if it is not among the 16 subsets of scales.
 * @param {Scene} scene
 * @param {number[]} gates
 * @returns {Answer | null}
 */
export function precomputed({ picture, tensors }, gates) {
  const subset = subsetNumber(gates);
  if (subset < 0 || !tensors.answers) return null;
  const area = picture.height * picture.width;
  const grids = (/** @type {string} */ name) =>
    SIZES.map((k) => {
      const { data, shape } = tensors[`${name}_${k}`];
      return { values: /** @type {Float32Array} */ (data), height: shape[0], width: shape[1] };
    });
  return {
    labels: /** @type {Uint8Array} */ (tensors.answers.data).slice(subset * area, (subset + 1) * area),
    logits: null,
    filters: grids("filters"),
    responses: grids("responses"),
  };
}

const HEAD_START = 2000; // milliseconds, in which the first answers have the line and the processor to themselves

/** @type {Promise<any> | undefined} ONNX Runtime, once for all networks */
let runtime;

/** @param {Assets} assets */
async function loadRuntime(assets) {
  const [ort, wasm] = await Promise.all([
    assets.module("../onnxruntime/ort.wasm.bundle.min.mjs"),
    assets.get("../onnxruntime/ort-wasm-simd-threaded.wasm.gz").then(inflated),
  ]);
  ort.env.wasm.numThreads = 1; // more need headers that a static host does not send
  ort.env.wasm.proxy = true; // a worker
  ort.env.wasm.wasmBinary = wasm;
  return ort;
}

/**
 * Return what computes a network's outputs by ONNX Runtime.
 * @param {Assets} assets
 * @param {Promise<ArrayBuffer>} file
 * @returns {Promise<Compute>}
 */
async function byRuntime(assets, file) {
  runtime ??= loadRuntime(assets).catch((error) => {
    runtime = undefined; // who asks again shall not get the old failure
    throw error;
  });
  const [ort, bytes] = await Promise.all([runtime, file]);
  const session = await ort.InferenceSession.create(new Uint8Array(bytes), { executionProviders: ["wasm"] });
  return (inputs) => session.run(Object.fromEntries(Object.entries(inputs).map(([name, { data, dims }]) =>
    [name, new ort.Tensor("float32", data, dims)])));
}

/**
 * Return what computes a small network's outputs by `onnx.js`, and its worker.
 * @param {Assets} assets
 * @param {Promise<ArrayBuffer>} file
 */
async function byWorker(assets, file) {
  const [script, bytes] = await Promise.all([assets.get("onnx.js"), file]);
  const worker = new Worker(URL.createObjectURL(new Blob([script], { type: "text/javascript" })));
  const ask = (/** @type {any} */ message) => new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = ({ message: words }) => reject(new Error(words));
    worker.postMessage(message);
  });
  await ask(bytes);
  return { worker, compute: /** @type {Compute} */ (ask) };
}

/** The exported network in this browser, in a worker: the page never waits for it. */
export class BrowserEngine {
  name = "in your browser";

  /**
   * @param {Compute} compute
   * @param {number} channels of each scale
   * @param {boolean} small whether `onnx.js` computes, not ONNX Runtime
   */
  constructor(compute, channels, small = true) {
    this.compute = compute;
    this.channels = channels;
    this.small = small;
    /** @type {Promise<unknown>} */
    this.busy = Promise.resolve();
    /** @type {WeakMap<Picture, Promise<Record<string, Output>>>} */
    this.donors = new WeakMap();
  }

  /**
   * Photographs need ONNX Runtime, 4 MB. A network of drawn scenes answers without it until it is there: it is faster.
   * @param {Assets} assets
   * @param {{channels: number, resize: unknown}} world
   * @param {string} model name of the ONNX file, gzipped
   */
  static async load(assets, { channels, resize }, model) {
    const file = assets.get(model).then(inflated);
    if (resize) return new BrowserEngine(await byRuntime(assets, file), channels, false);
    const { worker, compute } = await byWorker(assets, file);
    const engine = new BrowserEngine(compute, channels);
    const replace = (/** @type {Compute} */ faster) => {
      engine.busy = engine.busy.then(() => {
        [engine.compute, engine.small] = [faster, false];
        worker.terminate();
      });
    };
    setTimeout(() => byRuntime(assets, file).then(replace, (error) => console.warn("playground: without ONNX Runtime.", error)), HEAD_START);
    return engine;
  }

  /**
   * @param {Inquiry} inquiry
   * @returns {Promise<Answer>}
   */
  async answer({ picture, gates, channel, donor }) {
    const outputs = await this.run(picture, gates, donor);
    const { data, dims } = outputs.logits;
    const grids = (/** @type {string} */ name) =>
      SIZES.map((k) => channelOf(outputs[`${name}_${k}`].data, outputs[`${name}_${k}`].dims, channel));
    const labels = labelsOf(data, dims.slice(1), picture.height, picture.width);
    await breath();
    return {
      labels,
      logits: data,
      filters: grids("filters"),
      responses: grids("responses"),
    };
  }

  /**
   * The logits alone, and how many cells the responses have.
   * @param {Omit<Inquiry, "channel">} inquiry
   * @returns {Promise<{logits: Float32Array, cells: {height: number, width: number}}>}
   */
  async logits({ picture, gates, donor }) {
    const { logits, responses_1: { dims } } = await this.run(picture, gates, donor);
    return { logits: logits.data, cells: { height: dims[1], width: dims[2] } };
  }

  /**
   * @param {Picture} picture
   * @param {number[]} gates
   * @param {Picture | null} donor
   * @returns {Promise<Record<string, Output>>}
   */
  async run(picture, gates, donor) {
    const lent = donor && (await this.filtersOf(donor));
    const tensor = (/** @type {Float32Array} */ data, /** @type {number[]} */ dims) =>
      ({ data, dims }); // a worker may take its memory: always a fresh array
    /** @type {Record<string, Output>} */
    const inputs = {
      image: tensor(normalised(picture), [1, 3, picture.height, picture.width]),
      scale_gates: tensor(Float32Array.from(gates), [4]),
      other_weight: tensor(new Float32Array(4).fill(lent ? 1 : 0), [4]),
    };
    for (const k of SIZES) {
      const values = lent ? lent[`filters_${k}`].data.slice() : new Float32Array(this.channels * k * k);
      inputs[`other_filters_${k}`] = tensor(values, [this.channels, k, k]);
    }
    const turn = this.busy.then(() => this.compute(inputs)); // one run at a time
    this.busy = turn.catch(() => {});
    return turn;
  }

  /** @param {Picture} picture */
  filtersOf(picture) {
    let filters = this.donors.get(picture);
    if (!filters) this.donors.set(picture, (filters = this.run(picture, [1, 1, 1, 1], null)));
    return filters;
  }
}

const GONE = "the kernel does not answer; it was restarted, or has stopped. Run the cell again.";
const BUSY = "The kernel has not answered yet; it is busy, perhaps with another cell.";
const PATIENCE = 10_000; // milliseconds, until we say that it is busy

/**
 * A notebook's kernel, asked through the widget's own messages.
 *
 * @typedef {object} Request one that is open
 * @property {(reply: any) => void} resolve
 * @property {(error: Error) => void} reject
 * @property {ReturnType<typeof setTimeout>} timer
 */
export class Kernel {
  /** @param {any} model the widget's model */
  constructor(model) {
    this.model = model;
    this.name = Math.random().toString(36).slice(2); // all views of a widget hear what is sent to one of them
    this.count = 0;
    /** @type {Map<string, Request>} */
    this.open = new Map();
    /** @type {(text: string) => void} hears that the kernel is busy or gone; "" when it answers again */
    this.tell = () => {};
    this.silent = false;
    this.listen = (/** @type {any} */ content, /** @type {DataView[]} */ buffers) => {
      const request = this.taken(content.reply_to);
      if (request && content.error) request.reject(new Error(content.error));
      else request?.resolve({ ...content, buffers });
      if (request && this.silent) this.say("");
    };
    this.lost = () => {
      this.say(`Not live: ${GONE}`);
      [...this.open.keys()].forEach((id) => this.fail(id));
    };
    model.on("msg:custom", this.listen);
    model.on("comm_live_update", this.lost); // JupyterLab has restarted the kernel
  }

  /**
   * @param {Record<string, any>} content
   * @param {ArrayBufferView[]} buffers
   * @returns {Promise<any>}
   */
  ask(content, buffers = []) {
    const id = `${this.name} ${++this.count}`;
    return new Promise((resolve, reject) => {
      this.open.set(id, { resolve, reject, timer: setTimeout(() => this.say(BUSY), PATIENCE) });
      // A kernel that is not the one it was takes the message, knows no such widget, and is idle again.
      const status = (/** @type {any} */ message) => {
        if (message.content.execution_state === "idle") setTimeout(() => this.fail(id), 1000);
      };
      try {
        this.model.send({ ...content, id }, { iopub: { status } }, buffers);
      } catch {
        this.fail(id); // there is no kernel
      }
    });
  }

  /**
   * Return an open request, which is then none.
   * @param {string} id
   */
  taken(id) {
    const request = this.open.get(id);
    clearTimeout(request?.timer);
    this.open.delete(id);
    return request;
  }

  /** @param {string} id of a request that will not be answered now, if it has not been */
  fail(id) {
    const request = this.taken(id);
    if (request) this.say(`Not live: ${GONE}`);
    request?.reject(new Error(GONE));
  }

  /** @param {string} text */
  say(text) {
    this.silent = text !== "";
    this.tell(text);
  }

  /** @returns {Assets} */
  assets() {
    const get = async (/** @type {string} */ name) => {
      const { buffers } = await this.ask({ kind: "asset", name });
      return copied(buffers[0]);
    };
    const module = async (/** @type {string} */ name) => {
      const url = URL.createObjectURL(new Blob([await get(name)], { type: "text/javascript" }));
      return import(url); // the address stays: a worker may load the module again
    };
    return { get, module };
  }

  close() {
    [...this.open.keys()].forEach((id) => this.taken(id));
    this.model.off("msg:custom", this.listen);
    this.model.off("comm_live_update", this.lost);
  }
}

/**
 * @param {DataView} view
 * @returns {ArrayBuffer}
 */
function copied(view) {
  return /** @type {ArrayBuffer} */ (view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
}

/** The kernel's PyTorch model. */
export class KernelEngine {
  name = "in the kernel";

  /**
   * @param {Kernel} kernel
   * @param {string} world whose network is asked
   */
  constructor(kernel, world) {
    this.kernel = kernel;
    this.world = world;
    /** @type {WeakMap<Picture, Promise<number>>} */
    this.known = new WeakMap();
  }

  /**
   * Give a picture to the kernel, once, and return its number there.
   * @param {Picture} picture
   */
  number(picture) {
    let number = this.known.get(picture);
    if (!number) {
      const { pixels, height, width } = picture;
      const { world } = this;
      number = this.kernel.ask({ kind: "picture", world, height, width }, [pixels]).then((reply) => reply.number);
      number.catch(() => this.known.delete(picture)); // so that it can be given again
      this.known.set(picture, number);
    }
    return number;
  }

  /**
   * @param {Inquiry} inquiry
   * @returns {Promise<Answer>}
   */
  async answer({ picture, gates, channel, donor }) {
    const [number, other] = await Promise.all([this.number(picture), donor && this.number(donor)]);
    const reply = await this.kernel.ask({ kind: "answer", world: this.world, picture: number, donor: other, gates, channel });
    if (reply.forgotten) {
      this.known = new WeakMap();
      return this.answer({ picture, gates, channel, donor });
    }
    const arrays = reply.buffers.map(copied);
    const grid = (/** @type {ArrayBuffer} */ buffer, /** @type {number[]} */ [height, width]) =>
      ({ values: new Float32Array(buffer), height, width });
    const [filters, responses] = [reply.shapes.slice(0, 4), reply.shapes.slice(4)];
    return {
      labels: new Uint8Array(arrays[0]),
      logits: new Float32Array(arrays[1]),
      filters: filters.map((/** @type {number[]} */ shape, /** @type {number} */ i) => grid(arrays[2 + i], shape)),
      responses: responses.map((/** @type {number[]} */ shape, /** @type {number} */ i) => grid(arrays[6 + i], shape)),
    };
  }

  /**
   * The logits alone, and how many cells the responses have.
   * @param {Omit<Inquiry, "channel">} inquiry
   * @returns {Promise<{logits: Float32Array, cells: {height: number, width: number}}>}
   */
  async logits(inquiry) {
    const { logits, responses } = await this.answer({ ...inquiry, channel: 0 });
    return { logits: /** @type {Float32Array} */ (logits), cells: responses[0] };
  }
}
