/**
 * Pointing: a mark at the same place of all pictures and responses, and a line that says what is there.
 *
 * @import { Playground } from "./playground.js"
 * @import { View } from "./view.js"
 *
 * @typedef {object} Spot where the reader points, or has clicked
 * @property {number} target number of what is pointed at, in `Pointing.targets`
 * @property {number} x in shares of its width
 * @property {number} y in shares of its height
 *
 * @typedef {object} Target what can be pointed at
 * @property {HTMLCanvasElement} canvas
 * @property {HTMLElement} mark
 * @property {string} kind "picture", "prediction", "truth", "difference", "filter" or "response"
 * @property {number} scale number of the scale, for the last two
 */
import { PixelCard } from "./ask.js";
import { make, paused, percent, say } from "./elements.js";
import { inside, VOID } from "./maps.js";
import { chancesAt, logitsShape, SIZES } from "./numbers.js";
import { CREAM } from "./paint.js";
import { makeSwatch } from "./panels.js";

const IDLE = "Point at a picture, a filter or a response: what is there stands here. A click keeps the place; on a picture it asks why.";
const PACE = 4; // pixels, for the arrow keys

export class Pointing {
  /**
   * @param {Playground} playground
   * @param {View} view
   */
  constructor(playground, view) {
    this.playground = playground;
    this.view = view;
    /** @type {Spot | null} under the pointer */
    this.over = null;
    /** @type {Spot | null} where the reader has clicked */
    this.kept = null;
    const target = (/** @type {any} */ { canvas, figure }, /** @type {string} */ kind, scale = -1) => {
      const mark = make("i.mark", { hidden: true });
      figure.querySelector(".frame").append(mark);
      return { canvas, mark, kind, scale };
    };
    const { picture, prediction, truth, difference, scales } = view;
    /** @type {Target[]} */
    this.targets = [
      ...Object.entries({ picture, prediction, truth, difference }).map(([kind, panel]) => target(panel, kind)),
      target(scales.large, "filter", 3),
      ...scales.cards.flatMap(({ filter, response }, i) => [target(filter, "filter", i), target(response, "response", i)]),
    ];
    this.announcing = paused(300);
    this.card = new PixelCard(playground, view, () => this.release());
    prediction.canvas.tabIndex = 0;
    prediction.canvas.role = "application"; // so that a screen reader leaves the arrow keys to it
    this.listen();
    this.show();
  }

  listen() {
    const { element, prediction } = this.view;
    for (const kind of ["pointermove", "pointerdown", "pointerout"]) {
      element.addEventListener(kind, (event) => {
        const spot = kind === "pointerout" ? null : this.spotOf(/** @type {PointerEvent} */ (event));
        if (!spot && !this.over) return;
        this.over = spot;
        this.show();
      });
    }
    element.addEventListener("click", (event) => {
      const spot = this.spotOf(event);
      if (!spot || this.view.editor.stage.contains(/** @type {Node} */ (event.target))) return;
      const { kept } = this;
      const [old, now] = [kept && this.cellOf(kept), this.cellOf(spot)];
      this.card.sought = !this.pixel; // further clicks are made where the card is known to be
      this.keep(kept?.target === spot.target && old?.join() === now.join() ? null : spot);
    });
    prediction.canvas.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.key(event));
    document.addEventListener("keydown", ({ key, target }) => { // a click on a picture leaves the focus with what is around the playground
      if (key === "Escape" && this.kept && /** @type {Node} */ (target).contains(element)) this.release();
    });
  }

  /** Keep nothing any more; the keyboard's place, where it was on the card, is the prediction. */
  release() {
    const held = this.card.element.contains(document.activeElement);
    this.keep(null);
    if (held) this.view.prediction.canvas.focus();
    this.playground.announcing(() => say(this.view.aloud, "No place is kept any more."));
  }

  /** @param {Spot | null} spot */
  keep(spot) {
    this.kept = spot;
    this.show();
    this.playground.writeAddress();
  }

  /** x and y of the picture's pixel that is kept, if one is. */
  get pixel() {
    return this.kept && this.targets[this.kept.target].scale < 0 ? this.pixelOf(this.kept) : null;
  }

  /** @param {number[]} pixel x and y */
  pin([x, y]) {
    const { height, width } = this.playground.present?.picture ?? { height: 1, width: 1 };
    this.keep({ target: this.predicted, x: (inside(x, width) + 0.5) / width, y: (inside(y, height) + 0.5) / height });
  }

  get predicted() {
    return this.targets.findIndex(({ kind }) => kind === "prediction");
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const along = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const { width, height } = this.view.prediction.canvas;
    if (event.key === "Escape" && this.kept) this.release();
    else if (along && !(event.ctrlKey || event.metaKey || event.altKey)) {
      const [x, y] = this.kept?.target === this.predicted ? this.cellOf(this.kept) : [width >> 1, height >> 1];
      const pace = event.shiftKey ? 1 : PACE;
      this.over = null;
      this.pin([x + pace * along[0], y + pace * along[1]]);
      this.announcing(() => say(this.view.aloud, `${this.view.pointed.textContent} ${this.card.words}`));
    } else return;
    event.preventDefault();
  }

  /**
   * Return where a pointer is; null if that is on no picture.
   * @param {MouseEvent} event
   * @returns {Spot | null}
   */
  spotOf(event) {
    const target = this.targets.findIndex(({ canvas }) => canvas === event.target);
    if (target < 0) return null;
    const { canvas } = this.targets[target];
    const box = canvas.getBoundingClientRect();
    const { left, top, width, height } = within01(canvas, box.width / box.height);
    const x = ((event.clientX - box.left) / box.width - left) / width;
    const y = ((event.clientY - box.top) / box.height - top) / height;
    return x < 0 || y < 0 || x >= 1 || y >= 1 ? null : { target, x, y };
  }

  /**
   * Return column and row of the pixel or cell that is pointed at.
   * @param {Spot} spot
   */
  cellOf({ target, x, y }) {
    const { width, height } = this.targets[target].canvas;
    return [Math.min(Math.floor(x * width), width - 1), Math.min(Math.floor(y * height), height - 1)];
  }

  /** Mark the place, and say what is there: now, and again when there is another answer. */
  show() {
    const spot = this.over ?? this.kept;
    const pointed = spot && this.targets[spot.target];
    for (const target of this.targets) {
      const same = target === pointed || (pointed?.kind !== "filter" && target.kind !== "filter");
      target.mark.hidden = !pointed || !same;
      if (!spot || target.mark.hidden) continue;
      const frame = /** @type {HTMLElement} */ (target.mark.parentElement);
      const { left, top, width, height } = within01(target.canvas, frame.clientWidth / frame.clientHeight);
      target.mark.style.left = `${100 * (left + spot.x * width)}%`;
      target.mark.style.top = `${100 * (top + spot.y * height)}%`;
    }
    const words = spot && (pointed && pointed.scale >= 0 ? this.aboutGrid(spot) : this.aboutPixel(spot));
    this.view.pointed.classList.toggle("idle", !words);
    this.view.pointed.replaceChildren(...(words || [IDLE]));
    this.card.show(this.pixel);
  }

  /**
   * Return column and row of the picture's pixel at a place.
   * @param {Spot} spot
   */
  pixelOf({ x, y }) {
    const { height, width } = this.playground.present?.picture ?? { height: 1, width: 1 };
    return [inside(x * width - 0.5, width), inside(y * height - 0.5, height)];
  }

  /**
   * What the network says at a pixel, and what is true.
   * @param {Spot} spot
   */
  aboutPixel(spot) {
    const { answer, present, world } = this.playground;
    if (!answer || !present) return null;
    const { picture: { pixels, height, width }, truth } = present;
    const [x, y] = this.pixelOf(spot);
    const at = y * width + x;
    if (answer.labels.length !== height * width) return null; // the next answer is on its way
    const name = (/** @type {number} */ label) => world.classes[label]?.replaceAll("_", " ") ?? "void, which counts nowhere";
    const label = answer.labels[at];
    const words = [make("b", {}, name(label))];
    if (answer.logits) {
      const shape = logitsShape(answer.logits.length, world.classes.length, answer.responses[0]);
      const chances = chancesAt(answer.logits, shape, [height, width], [x, y]);
      words.push(`, ${percent(chances[label])} sure`);
    }
    if (truth) words.push(truth[at] === label ? ": true" : "; true is ", truth[at] === label ? "" : make("b", {}, name(truth[at])));
    const { scene, answer: full, words: whose } = this.playground.other;
    if (full && scene.picture.pixels.length === pixels.length && full.labels[at] !== label) words.push(`; ${whose} said ${name(full.labels[at])}`);
    const colour = pixels.subarray(3 * at, 3 * at + 3).join(", ");
    const rgb = this.targets[spot.target].kind === "picture" ? ` with the colour ${colour}` : "";
    if (this.targets[spot.target].kind === "difference") words.push(`. In colour is where the label is another than that of ${whose}`);
    const swatch = makeSwatch(label === VOID ? CREAM : world.palette[label]);
    return [swatch, ` Pixel ${x}, ${y}${rgb}: the network says `, ...words, "."];
  }

  /**
   * Which number of a filter or of a response that is.
   * @param {Spot} spot
   */
  aboutGrid(spot) {
    const { answer, channel, state } = this.playground;
    if (!answer) return null;
    const { kind, scale } = this.targets[spot.target];
    const grid = kind === "filter" ? answer.filters[scale] : answer.responses[scale];
    const [column, row] = this.cellOf(spot);
    const value = grid.values[row * grid.width + column];
    const k = SIZES[scale];
    const place = k === 1 && kind === "filter" ? "one number" : `row ${row + 1} of ${grid.height}, column ${column + 1} of ${grid.width}`;
    const off = state.gates[scale] === 0 ? " This scale is off: nothing of it is added." : "";
    const what = kind === "filter" ? `Filter of ${k} × ${k}` : `Response of ${k} × ${k}`;
    return [`${what}, channel ${channel + 1}, ${place}: `, make("b", {}, signed(value)), `.${off}`];
  }
}

/**
 * A number in two figures, with a true minus.
 * @param {number} value
 */
export const signed = (value) => String(Number(value.toPrecision(2))).replace("-", "−");

/**
 * Return where in its element a canvas is painted, which keeps its shape there; all in shares.
 * @param {HTMLCanvasElement} canvas
 * @param {number} shape width by height of the element
 */
function within01(canvas, shape) {
  const own = canvas.width / canvas.height;
  const [width, height] = [Math.min(1, own / shape), Math.min(1, shape / own)];
  return { left: (1 - width) / 2, top: (1 - height) / 2, width, height };
}
