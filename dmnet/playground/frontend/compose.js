/**
 * Putting a scene together from its layers: the ground, patch by patch, the objects on top, then the light.
 *
 * @import { Scene } from "./engines.js"
 * @import { Edit } from "./edits.js"
 *
 * @typedef {object} Layers see dmnet.playground.layers
 * @property {number} height
 * @property {number} width
 * @property {Uint8Array} grounds [versions, height, width, 3]
 * @property {Uint16Array} patch [height, width]
 * @property {Uint8Array} versions of each patch
 * @property {Uint8Array} stamps [5, pixels]: red, green, blue, what goes through, mask
 * @property {LayerObject[]} objects
 *
 * @typedef {object} LayerObject
 * @property {string} name
 * @property {number} label
 * @property {boolean} placed whether it is in the scene; the others can be added
 * @property {number} x
 * @property {number} y
 * @property {Record<string, [number, number, number, number, number]>} stamps step -> left, top, width, height, start
 *
 * @typedef {object} Placed an object in the picture
 * @property {number} number from 1
 * @property {LayerObject} object
 * @property {number} x
 * @property {number} y
 * @property {number} step of its size
 *
 * @typedef {object} Arrangement what is painted
 * @property {Placed[]} placed from the back to the front
 * @property {Uint8Array} versions of the patches
 * @property {number} exchanged bit i: the answers of question i are the other way round
 * @property {number[]} light red, green and blue, 1 as it was
 */
import { readEdit } from "./edits.js";
import { inside, VOID } from "./maps.js";
import { inflated, readSafetensors } from "./safetensors.js";

/** What a patch of the ground can be; the place in the list is the bit of its version. */
export const QUALITIES = ["warm", "light"];
export const NONE = 0xffff;
const VOID_OWNER = 0x8000;

/**
 * @param {ArrayBuffer} buffer
 * @returns {Promise<Layers>}
 */
export async function readLayers(buffer) {
  const { tensors, metadata } = readSafetensors(await inflated(buffer));
  const [height, width] = tensors.patch.shape;
  const data = (/** @type {string} */ name) => /** @type {any} */ (tensors[name].data);
  return {
    height, width, grounds: data("grounds"), patch: data("patch"), versions: data("versions"), stamps: data("stamps"),
    objects: JSON.parse(metadata.facts).objects,
  };
}

/**
 * Return what is to be painted after some changes; those that make no sense here are left out.
 * @param {Layers} layers
 * @param {string[]} edits
 * @returns {Arrangement}
 */
export function arranged(layers, edits) {
  /** @type {(Placed | null)[]} */
  const objects = layers.objects.filter(({ placed }) => placed)
    .map((object, i) => ({ number: i + 1, object, x: object.x, y: object.y, step: 0 }));
  /** @type {number[]} */
  const order = objects.map((_, i) => i); // what was moved last lies on top
  const read = edits.map(readEdit).filter((edit) => edit !== null);
  const light = [1, 1, 1];
  let share = NaN;
  let exchanged = 0;
  const turned = new Uint8Array(layers.versions.length);
  for (const { verb, object, name, numbers } of read) {
    const bit = QUALITIES.includes(name) ? 1 << QUALITIES.indexOf(name) : 0;
    const one = objects[object - 1];
    if (verb === "add") {
      const kind = layers.objects.find((other) => !other.placed && other.name === name);
      order.push(objects.length);
      objects.push(kind ? { number: objects.length + 1, object: kind, x: numbers[0], y: numbers[1], step: 0 } : null);
    } else if (verb === "remove" && name === "all") objects.fill(null);
    else if (verb === "move" && one) {
      [one.x, one.y] = numbers;
      order.push(...order.splice(order.indexOf(object - 1), 1));
    } else if (verb === "size" && one && numbers[0] in one.object.stamps) one.step = numbers[0];
    else if (verb === "remove" && one) objects[object - 1] = null;
    else if (verb === "exchange") exchanged ^= bit;
    else if (verb === "turn" && numbers[0] < turned.length) turned[numbers[0]] ^= bit;
    else if (verb === "share") share = numbers[0] / 100;
    else if (verb === "brightness") light.forEach((value, c) => (light[c] = (value * numbers[0]) / 100));
    else if (verb === "warmth") [light[0], light[2]] = [light[0] * (1 + numbers[0] / 400), light[2] * (1 - numbers[0] / 400)];
  }
  const versions = Number.isNaN(share) ? layers.versions : shared(layers, share);
  return {
    placed: order.map((i) => objects[i]).filter((one) => one !== null),
    versions: versions.map((version, i) => version ^ exchanged ^ turned[i]),
    exchanged,
    light,
  };
}

/**
 * Return the versions of the patches when a share of the ground, 0..1, is warm. Those that are warm stay so as long as
 * they can; which come first is as good as random, and always the same.
 * @param {Layers} layers
 * @param {number} share
 */
function shared({ patch, versions }, share) {
  const area = new Float64Array(versions.length);
  patch.forEach((one) => area[one]++);
  const rank = (/** @type {number} */ i) => ((i * 7919 + 13) % 1009) - 2000 * (versions[i] & 1);
  const order = Array.from(versions.keys()).sort((a, b) => rank(a) - rank(b));
  const wanted = share * patch.length;
  const result = versions.slice();
  let filled = 0;
  for (const i of order) {
    const warm = filled + area[i] / 2 <= wanted && share > 0 ? 1 : 0;
    if (warm) filled += area[i];
    result[i] = (result[i] & ~1) | warm;
  }
  return result;
}

/**
 * Paint an arrangement, but for noise and light.
 * @param {Layers} layers
 * @param {Arrangement} arrangement
 * @returns {{colour: Float32Array, owner: Uint16Array}} RGB in 0..255, [height, width, 3]; and whose each pixel is:
 *   the place in `placed`, plus VOID_OWNER where it does not count; NONE is the ground
 */
export function painted(layers, { placed, versions }) {
  const { height, width, grounds, patch, stamps } = layers;
  const area = height * width;
  const colour = new Float32Array(3 * area);
  const owner = new Uint16Array(area).fill(NONE);
  for (let i = 0; i < area; i++) {
    const from = 3 * (versions[patch[i]] * area + i);
    for (let c = 0; c < 3; c++) colour[3 * i + c] = grounds[from + c];
  }
  const plane = stamps.length / 5;
  placed.forEach(({ object, x, y, step }, place) => {
    const [left, top, stampWidth, stampHeight, start] = object.stamps[step];
    for (let row = 0; row < stampHeight; row++) {
      const toY = y + top + row;
      if (toY < 0 || toY >= height) continue;
      for (let column = 0; column < stampWidth; column++) {
        const toX = x + left + column;
        if (toX < 0 || toX >= width) continue;
        const from = start + row * stampWidth + column;
        const to = toY * width + toX;
        const through = stamps[3 * plane + from] / 255;
        for (let c = 0; c < 3; c++) colour[3 * to + c] = colour[3 * to + c] * through + stamps[c * plane + from];
        const mask = stamps[4 * plane + from];
        if (mask) owner[to] = mask === VOID ? place + VOID_OWNER : place;
      }
    }
  });
  return { colour, owner };
}

/**
 * Return the place of the topmost object near a pixel; -1 where there is none.
 * @param {Layers} layers
 * @param {Uint16Array} owner
 * @param {number} x
 * @param {number} y
 */
export function objectAt({ height, width }, owner, x, y) {
  for (const [dx, dy] of [[0, 0], [-2, 0], [2, 0], [0, -2], [0, 2]]) { // a finger is no needle
    const [toX, toY] = [x + dx, y + dy];
    if (toX < 0 || toY < 0 || toX >= width || toY >= height) continue;
    const found = owner[toY * width + toX];
    if (found !== NONE) return found & ~VOID_OWNER;
  }
  return -1;
}

/**
 * Return the share of the visible ground, 0..1, where a map is 1.
 * @param {Scene} scene
 * @param {string} name of the map
 * @param {ArrayLike<number>} owner of each pixel, or its true label
 * @param {number} ground what stands there for the ground
 */
export function visibleShare({ tensors, facts }, name, owner, ground) {
  const start = facts.hidden.indexOf(name) * owner.length;
  let [sum, count] = [0, 0];
  Array.prototype.forEach.call(owner, (one, i) => {
    if (one !== ground) return;
    sum += tensors.hidden.data[start + i];
    count++;
  });
  return sum / count;
}

/** A scene that can be put together anew. */
export class Composer {
  /**
   * @param {Scene} scene as it was drawn
   * @param {Layers} layers
   */
  constructor(scene, layers) {
    this.scene = scene;
    this.layers = layers;
    this.before = painted(layers, arranged(layers, [])).colour;
    /** @type {{key: string, result: ReturnType<Composer["put"]>} | null} */
    this.last = null;
  }

  /**
   * Return the scene after some changes; for the same changes the same object.
   * @param {string[]} edits
   */
  compose(edits) {
    const key = edits.join();
    if (this.last?.key !== key) this.last = { key, result: this.put(edits) };
    return this.last.result;
  }

  /**
   * Pixels that none of the changes touches stay as they are, noise and all.
   * @param {string[]} edits
   * @returns {{scene: Scene, arrangement: Arrangement, owner: Uint16Array}}
   */
  put(edits) {
    const arrangement = arranged(this.layers, edits);
    const { colour, owner } = painted(this.layers, arrangement);
    const { pixels, height, width } = this.scene.picture;
    const changed = new Uint8Array(pixels.length);
    for (let i = 0; i < changed.length; i++) {
      const value = (pixels[i] + colour[i] - this.before[i]) * arrangement.light[i % 3];
      changed[i] = Math.max(0, Math.min(255, Math.round(value)));
    }
    const hidden = this.hidden(arrangement, owner);
    const { placed } = arrangement;
    const labels = placed.map((one) => this.label(one, hidden));
    const truth = Uint8Array.from(owner, (one) => (one === NONE ? 0 : one >= VOID_OWNER ? VOID : labels[one]));
    const facts = { ...this.scene.facts, objects: placed.map(({ x, y }, i) => [labels[i], x, y]) };
    const tensors = { hidden: { data: hidden, shape: [facts.hidden.length, height, width] } };
    return { scene: { picture: { pixels: changed, height, width }, truth, tensors, facts }, arrangement, owner };
  }

  /**
   * Return the maps behind the labels, after the changes.
   * @param {Arrangement} arrangement
   * @param {Uint16Array} owner
   * @returns {Uint8Array} [maps, height, width]
   */
  hidden({ versions, exchanged }, owner) {
    const { patch } = this.layers;
    const { facts, tensors } = this.scene;
    const area = patch.length;
    const maps = /** @type {Uint8Array} */ (tensors.hidden.data).slice();
    const now = { ...this.scene, tensors: { hidden: { data: maps, shape: [] } } };
    facts.questions.forEach(({ seen, hidden, majority }, bit) => {
      const [seenAt, hiddenAt] = [seen, hidden].map((name) => facts.hidden.indexOf(name) * area);
      for (let i = 0; i < area; i++) maps[seenAt + i] = (versions[patch[i]] >> bit) & 1;
      if (majority) maps.fill(visibleShare(now, seen, owner, NONE) > 0.5 ? 1 : 0, hiddenAt, hiddenAt + area);
      else if ((exchanged >> bit) & 1) for (let i = 0; i < area; i++) maps[hiddenAt + i] ^= 1;
    });
    return maps;
  }

  /**
   * Return the class of an object where it lies.
   * @param {Placed} placed
   * @param {Uint8Array} maps
   */
  label({ object, x, y }, maps) {
    const { height, width } = this.layers;
    for (const { pairs, hidden } of this.scene.facts.questions) {
      const pair = pairs.find((labels) => labels.includes(object.label));
      if (!pair) continue;
      const at = inside(y, height) * width + inside(x, width);
      return maps[this.scene.facts.hidden.indexOf(hidden) * height * width + at] ? pair[0] : pair[1];
    }
    return object.label;
  }
}
