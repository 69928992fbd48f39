/**
 * A network from its ONNX file, in plain JavaScript: enough for the networks of drawn scenes, which need 30 million
 * multiplications, where a general runtime would be 4 MB to fetch. It runs as a worker of the playground.
 *
 * @typedef {Float32Array | Int32Array | Uint8Array} Numbers float, int64 and bool
 * @typedef {{data: Numbers, dims: number[]}} Value
 * @typedef {{name: string, inputs: string[], output: string, attributes: Record<string, any>}} Operation
 */

const product = (/** @type {number[]} */ numbers) => numbers.reduce((a, b) => a * b, 1);
const value = (/** @type {Numbers} */ data, /** @type {number[]} */ dims) => ({ data, dims });
const text = (/** @type {Uint8Array} */ bytes) => new TextDecoder().decode(bytes);

/**
 * Read a message of protocol buffers: its fields' numbers and what they hold.
 * @param {Uint8Array} bytes
 * @returns {Generator<[number, any]>}
 */
function* fieldsOf(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const varint = () => {
    let [sum, place] = [0, 1];
    for (; bytes[at] > 127; place *= 128) sum += (bytes[at++] & 127) * place;
    return sum + bytes[at++] * place;
  };
  while (at < bytes.length) {
    const key = varint();
    const kind = key % 8; // 0: a number, 2: bytes, 5: a float
    if (kind === 0) yield [key >> 3, varint()];
    else if (kind === 5) yield [key >> 3, view.getFloat32((at += 4) - 4, true)];
    else {
      const length = varint();
      yield [key >> 3, bytes.subarray(at, (at += length))];
    }
  }
}

/**
 * Return what a message holds under each number.
 * @param {Uint8Array} bytes
 * @returns {any[][]}
 */
function messageOf(bytes) {
  /** @type {any[][]} */
  const found = [];
  for (const [number, content] of fieldsOf(bytes)) (found[number] ??= []).push(content);
  return found;
}

/** @param {Uint8Array} bytes */
function attributeOf(bytes) {
  const { 1: [name], 2: float, 3: integer, 8: integers } = messageOf(bytes);
  return [text(name), integers ?? (integer ?? float ?? [])[0]];
}

/** A network that can run. */
export class Network {
  /** @param {ArrayBuffer} file */
  constructor(file) {
    const graph = messageOf(messageOf(new Uint8Array(file))[7][0]);
    /** @type {Operation[]} */
    this.operations = graph[1].map((node) => {
      const { 1: inputs = [], 2: [output], 4: [name], 5: attributes = [] } = messageOf(node);
      return { name: text(name), inputs: inputs.map(text), output: text(output), attributes: Object.fromEntries(attributes.map(attributeOf)) };
    });
    const unknown = this.operations.find(({ name }) => !Object.hasOwn(OPERATIONS, name));
    if (unknown) throw new Error(`there is no operation ${unknown.name}`);
    /** @type {Record<string, Value>} */
    this.constants = Object.fromEntries(graph[5].map((tensor) => {
      const { 1: dims = [], 2: [kind], 8: [name], 9: [raw = new Uint8Array()] } = messageOf(tensor);
      const bytes = raw.slice().buffer; // aligned
      return [text(name), value(kind === 1 ? new Float32Array(bytes) : Int32Array.from(new BigInt64Array(bytes), Number), dims)];
    }));
    this.outputs = graph[12].map((output) => text(messageOf(output)[1][0]));
  }

  /** @param {Record<string, Value>} inputs */
  run(inputs) {
    const values = { ...this.constants, ...inputs };
    for (const { name, inputs: names, output, attributes } of this.operations) {
      values[output] = OPERATIONS[name](names.map((one) => values[one]), attributes);
    }
    return Object.fromEntries(this.outputs.map((name) => [name, values[name]]));
  }
}

/**
 * Return an operation on two values, the smaller one repeated along the axes that it lacks.
 * @param {(a: number, b: number) => number} f
 * @param {Uint8ArrayConstructor} [Kind] of the result; by default that of the first value
 */
const broadcast = (f, Kind) => (/** @type {Value[]} */ [a, b]) => {
  const rank = Math.max(a.dims.length, b.dims.length);
  const shapes = [a, b].map(({ dims }) => [...Array(rank - dims.length).fill(1), ...dims]);
  const dims = shapes[0].map((length, axis) => Math.max(length, shapes[1][axis]));
  const data = /** @type {Numbers} */ (new (Kind ?? /** @type {any} */ (a.data.constructor))(product(dims)));
  const [first, second] = shapes.map((shape) => (/** @type {number} */ i) => {
    let rest = i, at = 0, step = 1;
    for (let axis = rank - 1; axis >= 0; axis--) {
      if (shape[axis] > 1) at += step * (rest % dims[axis]);
      step *= shape[axis];
      rest = Math.floor(rest / dims[axis]);
    }
    return at;
  });
  const [alike, again] = [a, b].map((one) => one.data.length === data.length);
  for (let i = 0; i < data.length; i++) data[i] = f(a.data[alike ? i : first(i)], b.data[again ? i : second(i)]);
  return value(data, dims);
};

/**
 * Convolution, as a product of two matrices: the weights, and what each of them meets.
 * @param {Value[]} inputs
 * @param {Record<string, any>} attributes
 */
function convolve([{ data, dims: [, , height, width] }, weight, bias], { group, strides: [down, right], dilations, pads }) {
  const [outputs, channels, ...kernel] = weight.dims;
  const [tall, broad] = kernel.map((length, i) => dilations[i] * (length - 1) + 1); // what the kernel spans
  const high = Math.floor((height + pads[0] + pads[2] - tall) / down) + 1;
  const wide = Math.floor((width + pads[1] + pads[3] - broad) / right) + 1;
  const [cells, each, taps] = [high * wide, outputs / group, channels * kernel[0] * kernel[1]];
  const result = new Float32Array(outputs * cells);
  const weights = new Float32Array(4 * Math.ceil(each / 4) * taps); // `multiply` takes four rows at once
  const met = tall * broad * down * right === 1 && cells % 2 === 0 ? null : new Float32Array(taps * cells + 1);
  for (let one = 0; one < group; one++) {
    let at = 0;
    for (let channel = one * channels; met && channel < (one + 1) * channels; channel++) {
      for (let top = -pads[0]; top < tall - pads[0]; top += dilations[0]) {
        for (let left = -pads[1]; left < broad - pads[1]; left += dilations[1]) {
          for (let row = 0, y = top; row < high; row++, y += down) {
            const from = (channel * height + y) * width;
            for (let column = 0, x = left; column < wide; column++, x += right, at++) { // what lies outside stays 0
              if (y >= 0 && x >= 0 && y < height && x < width) met[at] = data[from + x];
            }
          }
        }
      }
    }
    weights.set(weight.data.subarray(one * each * taps, (one + 1) * each * taps));
    const own = met ?? /** @type {Float32Array} */ (data).subarray(one * channels * cells);
    multiply(weights, own, taps, each, cells, result.subarray(one * each * cells), bias?.data.subarray(one * each));
  }
  return value(result, [1, outputs, high, wide]);
}

/**
 * Multiply matrices, four rows by two columns at a time: so a number that was read is used more than once.
 * @param {Float32Array} weights [a multiple of 4 >= outputs, taps]
 * @param {Float32Array} met [taps, cells], and one more number where they are odd
 * @param {number} taps
 * @param {number} outputs
 * @param {number} cells
 * @param {Float32Array} result [outputs, cells]
 * @param {Numbers} [bias] [outputs]
 */
function multiply(weights, met, taps, outputs, cells, result, bias) {
  for (let output = 0; output < outputs; output += 4) {
    for (let cell = 0; cell < cells; cell += 2) {
      let a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0;
      for (let w = output * taps, end = w + taps, m = cell; w < end; w++, m += cells) {
        const left = met[m], right = met[m + 1];
        const first = weights[w], second = weights[w + taps], third = weights[w + 2 * taps], fourth = weights[w + 3 * taps];
        a += first * left;
        b += first * right;
        c += second * left;
        d += second * right;
        e += third * left;
        f += third * right;
        g += fourth * left;
        h += fourth * right;
      }
      const sums = [a, b, c, d, e, f, g, h];
      for (let i = 0; i < 8; i++) {
        const row = output + (i >> 1), column = cell + (i & 1);
        if (row < outputs && column < cells) result[row * cells + column] = sums[i] + (bias ? bias[row] : 0);
      }
    }
  }
}

/** @type {Record<string, (inputs: Value[], attributes: Record<string, any>) => Value>} */
const OPERATIONS = {
  Add: broadcast((a, b) => a + b),
  Sub: broadcast((a, b) => a - b),
  Mul: broadcast((a, b) => a * b),
  Div: broadcast((a, b) => a / b), // an array of integers rounds towards zero, as it should
  Mod: broadcast((a, b) => ((a % b) + b) % b),
  Less: broadcast((a, b) => Number(a < b), Uint8Array),
  And: broadcast((a, b) => a & b, Uint8Array),
  Cast: ([{ data, dims }]) => value(Float32Array.from(data), dims),
  Relu: ([{ data, dims }]) => {
    const result = new Float32Array(data.length);
    for (let i = 0; i < data.length; i++) if (data[i] > 0) result[i] = data[i];
    return value(result, dims);
  },
  Conv: convolve,
  BatchNormalization: ([{ data, dims }, scale, shift, means, variances], { epsilon }) => {
    const area = dims[2] * dims[3];
    return value(data.map((x, i) => {
      const channel = Math.floor(i / area);
      return ((x - means.data[channel]) / Math.sqrt(variances.data[channel] + epsilon)) * scale.data[channel] + shift.data[channel];
    }), dims);
  },
  GlobalAveragePool: ([{ data, dims: [, channels, height, width] }]) => {
    const means = new Float32Array(channels);
    data.forEach((x, i) => (means[Math.floor(i / (height * width))] += x / (height * width)));
    return value(means, [1, channels, 1, 1]);
  },
  MatMul: ([a, b]) => { // one of them is a single matrix
    const [[rows, inner], [, columns]] = [a, b].map(({ dims }) => dims.slice(-2));
    const outer = (a.dims.length > b.dims.length ? a : b).dims.slice(0, -2);
    const data = new Float32Array(product(outer) * rows * columns);
    for (let i = 0; i < data.length; i++) {
      const batch = Math.floor(i / (rows * columns));
      const from = (a.dims.length > 2 ? batch * rows * inner : 0) + (Math.floor(i / columns) % rows) * inner;
      const to = (b.dims.length > 2 ? batch * inner * columns : 0) + (i % columns);
      let sum = 0;
      for (let j = 0; j < inner; j++) sum += a.data[from + j] * b.data[to + j * columns];
      data[i] = sum;
    }
    return value(data, [...outer, rows, columns]);
  },
  ReduceSum: ([{ data, dims: [rows, columns] }]) => { // over columns, which stay as one
    const sums = new Float32Array(rows);
    data.forEach((x, i) => (sums[Math.floor(i / columns)] += x));
    return value(sums, [rows, 1]);
  },
  Transpose: ([{ data, dims: [rows, columns] }]) =>
    value(Float32Array.from(data, (_, i) => data[(i % rows) * columns + Math.floor(i / rows)]), [columns, rows]),
  Pad: ([{ data, dims: [, channels, height, width] }, { data: pads }]) => { // with zeros, below and on the right
    const [high, wide] = [height + pads[6], width + pads[7]];
    const padded = new Float32Array(channels * high * wide);
    for (let row = 0; row < channels * height; row++) {
      padded.set(data.subarray(row * width, (row + 1) * width), (Math.floor(row / height) * high + (row % height)) * wide);
    }
    return value(padded, [1, channels, high, wide]);
  },
  Concat: (parts, { axis }) => { // along the first axis that is longer than one
    const data = new /** @type {any} */ (parts[0].data.constructor)(parts.reduce((sum, part) => sum + part.data.length, 0));
    parts.reduce((at, part) => (data.set(part.data, at), at + part.data.length), 0);
    return value(data, parts[0].dims.map((length, i) => (i === axis ? parts.reduce((sum, part) => sum + part.dims[i], 0) : length)));
  },
  Shape: ([{ dims }], { start, end }) => value(Int32Array.from(dims.slice(start, end)), [end - start]),
  Reshape: ([{ data }, { data: dims }]) => value(data, [...dims].map((length) => (length < 0 ? data.length : length))),
  Squeeze: ([{ data }]) => value(data, []), // always to a single number
  Slice: ([{ data }, { data: [start] }, { data: [stop] }]) => value(data.slice(start, stop), [stop - start]),
  Gather: ([{ data, dims }]) => value(data, dims.slice(1)), // always the first of one
  Range: ([{ data: [start] }, { data: [stop] }]) => value(Int32Array.from({ length: stop - start }, (_, i) => start + i), [stop - start]),
};

// As a worker: first comes the file, then the inputs of one run after the other.
if ("importScripts" in globalThis) {
  /** @type {Network} */
  let network;
  onmessage = ({ data }) => {
    if (data instanceof ArrayBuffer) network = new Network(data);
    postMessage(data instanceof ArrayBuffer ? null : network.run(data));
  };
}
