/**
 * The drawing pad of the workbench: what a tap on the picture does, and how many of the objects the network names rightly.
 *
 * @import { LayerObject, Layers, Placed } from "./compose.js"
 * @import { Composed } from "./editor.js"
 * @import { Question } from "./engines.js"
 */
import { QUALITIES } from "./compose.js";
import { rove } from "./drag.js";
import { make, percent } from "./elements.js";

const PAPER = 190; // grey, 0..255, under a stamp that is to be chosen
/** What a tap can turn a patch into, in words. */
export const PAIRS = ["warm ↔ cool", "light ↔ dark"];
export const ERASE = "erase";
/** A card that hides: it alone may be put on top of others. */
export const COVER = "cover";

export class Tools {
  /** @param {() => void} changed called when another tool has been chosen */
  constructor(changed) {
    this.changed = changed;
    /** "" takes hold of objects; others are a kind of object, a quality of the ground, and ERASE. */
    this.tool = "";
    /** @type {Map<string, HTMLButtonElement>} */
    this.buttons = new Map();
    this.element = make("div.tools", { role: "group", "aria-label": "What a tap on the picture does" });
    rove(this.element, () => [...this.buttons.values()], () => 1);
  }

  /**
   * Offer what can be done to a scene.
   * @param {Layers} layers
   * @param {Question[]} questions
   */
  fill(layers, questions) {
    this.buttons.clear();
    this.offer("", "Move", "Only take hold of objects");
    for (const object of layers.objects.filter(({ placed }) => !placed)) {
      const canvas = make("canvas", { "aria-hidden": "true" });
      paintStamp(canvas, layers, object);
      this.offer(object.name, object.name, `Put a ${object.name} where you tap`, canvas);
    }
    questions.forEach((_, bit) => this.offer(QUALITIES[bit], PAIRS[bit], "Turn the patches that a stroke crosses"));
    this.offer(ERASE, "Erase", "Take away what you tap");
    if (!this.buttons.has(this.tool)) this.tool = "";
    this.element.replaceChildren("A tap: ", ...this.buttons.values());
    this.show();
  }

  /**
   * @param {string} tool
   * @param {string} text
   * @param {string} title
   * @param {...Node} before
   */
  offer(tool, text, title, ...before) {
    this.buttons.set(tool, make("button", { type: "button", title, onclick: () => this.choose(tool) }, ...before, make("span", {}, text)));
  }

  /** @param {string} tool */
  choose(tool) {
    this.tool = tool;
    this.show();
    this.changed();
  }

  show() {
    this.buttons.forEach((button, tool) => {
      button.ariaPressed = String(tool === this.tool);
      button.tabIndex = tool === this.tool ? 0 : -1;
    });
  }

  /** The quality of the ground that a tap turns, or "". */
  get quality() {
    return QUALITIES.includes(this.tool) ? this.tool : "";
  }

  /** The kind of object that a tap puts, or "". */
  get stamp() {
    return ["", ERASE, ...QUALITIES].includes(this.tool) ? "" : this.tool;
  }
}

/**
 * Paint an object as it is put, on grey.
 * @param {HTMLCanvasElement} canvas
 * @param {Layers} layers
 * @param {LayerObject} object
 */
function paintStamp(canvas, { stamps }, object) {
  const [, , width, height, start] = object.stamps[0];
  [canvas.width, canvas.height] = [width, height];
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const image = context.createImageData(width, height);
  const plane = stamps.length / 5;
  for (let i = 0; i < width * height; i++) {
    const through = stamps[3 * plane + start + i] / 255;
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = PAPER * through + stamps[c * plane + start + i];
    image.data[4 * i + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

/**
 * Count the objects that the network names as the truth does: an object's name is the label of most of its pixels that can be
 * seen. Those that are hidden are not asked for.
 * @param {Composed} composed
 * @param {ArrayLike<number>} labels the network's
 * @returns {{count: number, wrong: Placed[]}}
 */
export function namesOf({ scene: { facts }, arrangement: { placed }, owner }, labels) {
  /** @type {Map<number, number>[]} */
  const counts = placed.map(() => new Map());
  Array.prototype.forEach.call(owner, (one, i) => {
    if (one < placed.length) counts[one].set(labels[i], (counts[one].get(labels[i]) ?? 0) + 1);
  });
  const named = counts.map((count) => [...count].sort((a, b) => b[1] - a[1])[0]?.[0]);
  const seen = placed.filter((_, i) => named[i] !== undefined);
  return { count: seen.length, wrong: seen.filter((one) => named[placed.indexOf(one)] !== facts.objects[placed.indexOf(one)][0]) };
}

/**
 * The same in words.
 * @param {ReturnType<typeof namesOf>} names
 */
export function namedWords({ count, wrong }) {
  const all = count > 2 ? `all ${count} objects` : count > 1 ? "both objects" : "the object";
  if (!count || !wrong.length) return count ? `The network names ${all} rightly.` : "";
  return `The network names ${count - wrong.length} of ${count} objects rightly; not:`;
}

/**
 * Say so, where turned patches no longer look like what lies behind them, and yet the truth goes by that.
 * @param {Composed} composed
 */
export function contradiction({ scene: { facts, tensors, picture } }) {
  const area = picture.height * picture.width;
  const map = (/** @type {string} */ name) => tensors.hidden.data.subarray(facts.hidden.indexOf(name) * area, (facts.hidden.indexOf(name) + 1) * area);
  for (const [bit, { seen, hidden, majority }] of facts.questions.entries()) {
    if (majority) continue; // there it is the patches that decide
    const [tiles, truth] = [map(seen), map(hidden)];
    for (const [value, name] of PAIRS[bit].split(" ↔ ").map((word, i) => /** @type {[number, string]} */ ([1 - i, word]))) {
      let [alike, all] = [0, 0];
      truth.forEach((/** @type {number} */ one, /** @type {number} */ i) => {
        if (one !== value) return;
        all++;
        alike += Number(tiles[i] === value);
      });
      const place = bit ? "in blocks that count as" : "on the side that counts as";
      if (all && alike < all / 2) return `Only ${percent(alike / all)} of the ground ${place} ${name} is ${name} now. Turned tiles move no line: the truth still goes by it.`;
    }
  }
  return "";
}
