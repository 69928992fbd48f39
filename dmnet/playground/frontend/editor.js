/**
 * The workbench: the reader drags objects, makes them larger, adds and removes them, changes the ground and the light.
 *
 * It only says what is wanted, in the sentences of edits.js; the picture is put together by compose.js.
 *
 * @import { Arrangement, Composer, Placed } from "./compose.js"
 * @import { Scene } from "./engines.js"
 *
 * @typedef {object} Composed
 * @property {Scene} scene
 * @property {Arrangement} arrangement
 * @property {Uint16Array} owner
 */
import { objectAt, QUALITIES, visibleShare } from "./compose.js";
import { readEdit, withEdit } from "./edits.js";
import { make, makeButton, percent, say } from "./elements.js";
import { inside } from "./maps.js";

const PAIRS = ["warm ↔ cool", "light ↔ dark"];

/**
 * A line of the workbench.
 * @param {string} text
 * @param {...(HTMLElement | string)} controls the first has that name, unless it has one of its own
 */
function setting(text, ...controls) {
  const named = controls.find((one) => one instanceof HTMLElement && one.matches("select, input"));
  if (named instanceof HTMLElement && !named.ariaLabel) named.ariaLabel = text;
  return make("div.setting", {}, make("span", {}, text), ...controls);
}

export class Editor {
  /**
   * @param {{figure: HTMLElement, canvas: HTMLCanvasElement}} panel the picture's: it moves in while the workbench is open
   * @param {{change: (edits: string[]) => void, prepare: () => void, edit: () => void}} actions
   */
  constructor(panel, { change, prepare, edit }) {
    this.panel = panel;
    this.canvas = panel.canvas;
    this.change = change;
    /** @type {Composer | null} */
    this.composer = null;
    /** @type {Composed | null} */
    this.composed = null;
    /** @type {string[]} */
    this.edits = [];
    /** @type {Map<string, {past: string[][], future: string[][]}>} of each scene: what `Undo` goes back to; what was undone */
    this.trails = new Map();
    this.scene = "";
    /** @type {string[] | null} the changes before the gesture that is under way */
    this.before = null;
    this.chosen = 0; // number of an object
    this.spot = [0, 0]; // of the ground, for the keyboard
    this.isOpen = false;
    /** @type {{box: HTMLInputElement, element: HTMLElement}[]} one for each quality of the ground */
    this.exchanges = QUALITIES.map((name, bit) => {
      const box = make("input", { type: "checkbox", onchange: () => this.say(`exchange ${name}`) });
      return { box, element: make("label.check", {}, box, PAIRS[bit]) };
    });
    this.makeControls(edit);
    for (const kind of ["pointerenter", "focus"]) this.share.addEventListener(kind, prepare);
    this.marker = make("div.marker", { hidden: true });
    panel.figure.querySelector(".frame")?.append(this.marker);
    this.takeGestures();
  }

  /** @param {() => void} close */
  makeControls(close) {
    const slider = (/** @type {string} */ verb, /** @type {Record<string, any>} */ limits) => {
      const input = make("input", {
        type: "range", ...limits, oninput: () => this.slide(`${verb} ${input.value}`), onchange: () => this.settle(),
      });
      return input;
    };
    this.object = make("select", { "aria-label": "Chosen object", onchange: () => this.choose(Number(this.object.value)) });
    const resize = () => this.slide(`size ${this.chosen} ${this.steps[Number(this.size.value)]}`);
    this.size = make("input", { type: "range", oninput: resize, onchange: () => this.settle() });
    this.remove = makeButton("Remove", () => this.say(`remove ${this.chosen}`), "Take this object away");
    this.kind = make("select", { "aria-label": "What to add" });
    this.tap = make("select", { "aria-label": "What a tap on the ground does", onchange: () => this.showMarker() });
    this.share = slider("share", { min: 0, max: 100, step: 1, "aria-label": "Warm share of the ground, per cent" });
    this.shareValue = make("output");
    this.shareRow = make("label.ground", { hidden: true }, make("span", {}, "cool"), this.share, make("span", {}, "warm"));
    this.panel.figure.querySelector(".frame")?.after(this.shareRow, this.shareValue);
    this.brightness = slider("brightness", { min: 40, max: 160, step: 5, "aria-label": "Brightness of the light, per cent" });
    this.warmth = slider("warmth", { min: -100, max: 100, step: 5, "aria-label": "Colour of the light, from blue to orange" });
    this.undo = makeButton("Undo", () => this.goBack(), "Take the last change back");
    this.restore = makeButton("As it was", () => this.settle([]), "Take all changes back");
    const done = makeButton("Done", close, "Close the workbench; the changes stay");
    const add = makeButton("Add", () => this.add(), "Put one more object into the picture");
    this.lightNote = make("p.fine", { hidden: true }, "This light is not that of the pictures it was trained on; it may take much for background.");
    this.stage = make("div.stage");
    this.bench = make("section.bench", { "aria-label": "Workbench" },
      make("p.fine", {}, "Drag an object, or choose it: arrow keys move it, + and − change its size, Delete takes it away. " +
        "Ctrl+Z takes a change back, Esc closes. Where a tap on the ground turns a patch, a stroke turns all that it crosses."),
      setting("Object", this.object, this.remove), setting("Size", this.size),
      setting("New", this.kind, add),
      setting("Exchange", make("div.checks", {}, ...this.exchanges.map(({ element }) => element))),
      setting("A tap", this.tap),
      setting("Light", make("span.ends", {}, "dim"), this.brightness, make("span.ends", {}, "bright")),
      setting("", make("span.ends", {}, "blue"), this.warmth, make("span.ends", {}, "orange")), this.lightNote,
      make("div.buttons", {}, this.undo, this.restore, done));
  }

  // What it shows ---------------------------------------------------------------------------------------

  open() {
    this.isOpen = true;
    this.stage.append(this.panel.figure);
    this.canvas.tabIndex = 0;
    this.canvas.role = "application"; // so that a screen reader leaves the keys to it
  }

  /** @param {HTMLElement} panels where the picture goes back to */
  close(panels) {
    this.isOpen = false;
    panels.prepend(this.panel.figure);
    this.canvas.removeAttribute("tabindex");
    this.canvas.role = "img";
    this.marker.hidden = true;
  }

  /**
   * @param {Composer} composer
   * @param {string[]} edits
   * @param {Composed} composed
   */
  show(composer, edits, composed) {
    if (composer !== this.composer) {
      this.composer = composer;
      this.spot = [composer.layers.width >> 1, composer.layers.height >> 1];
      const kinds = composer.layers.objects.filter(({ placed }) => !placed).map(({ name }) => name);
      this.kind.replaceChildren(...kinds.map((name) => make("option", { value: name }, name)));
    }
    this.composed = composed;
    const { placed, exchanged } = composed.arrangement;
    const objects = [...placed].sort((a, b) => a.number - b.number);
    if (!objects.some(({ number }) => number === this.chosen)) this.chosen = 0;
    this.object.replaceChildren(make("option", { value: 0 }, "none chosen"),
      ...objects.map(({ number, object }) => make("option", { value: number }, `${number} ${object.name}`)));
    const { questions } = composed.scene.facts;
    this.exchanges.forEach(({ box, element }, bit) => {
      box.checked = ((exchanged >> bit) & 1) === 1;
      element.hidden = bit >= questions.length;
    });
    if (this.tap.options.length !== questions.length + 1) {
      this.tap.replaceChildren(make("option", { value: "" }, "does nothing"),
        ...questions.map((_, bit) => make("option", { value: QUALITIES[bit] }, `turns patches ${PAIRS[bit]}`)));
    }
    this.brightness.value = String(this.value("brightness", 100));
    this.warmth.value = String(this.value("warmth", 0));
    this.lightNote.hidden = this.warmth.value === "0" && this.brightness.value === "100";
    this.undo.disabled = !this.trail.past.length;
    this.restore.disabled = !edits.length;
    this.showChosen();
  }

  /**
   * What there is to be changed.
   * @param {string} scene its id
   * @param {string[]} edits
   */
  begin(scene, edits) {
    if (scene !== this.scene) [this.scene, this.chosen, this.before, this.composed] = [scene, 0, null, null];
    this.edits = edits;
  }

  get trail() {
    const trail = this.trails.get(this.scene) ?? { past: [], future: [] };
    this.trails.set(this.scene, trail);
    return trail;
  }

  /**
   * Show how much of the ground is warm, where most of it decides.
   * @param {Scene} scene
   */
  showShare({ facts, tensors, picture, truth }) {
    const [question] = facts.questions;
    this.shareRow.hidden = this.shareValue.hidden = !question?.majority || !truth;
    if (this.shareRow.hidden || !truth) return;
    const share = visibleShare({ facts, tensors, picture, truth }, question.seen, truth, 0);
    const said = this.value("share", NaN);
    this.share.value = String(Number.isNaN(said) ? Math.round(100 * share) : this.exchanged ? 100 - said : said);
    say(this.shareValue, `${percent(share)} warm`);
  }

  /** Whether warm and cool have changed places. */
  get exchanged() {
    return this.edits.includes("exchange warm");
  }

  /**
   * The last number of the change with a verb.
   * @param {string} verb
   * @param {number} otherwise
   */
  value(verb, otherwise) {
    const edit = this.edits.map(readEdit).findLast((one) => one?.verb === verb);
    return edit?.numbers.at(-1) ?? otherwise;
  }

  /** @returns {Placed | undefined} */
  get placed() {
    return this.composed?.arrangement.placed.find(({ number }) => number === this.chosen);
  }

  /** What is chosen, and where it is, for those who do not see it. */
  get words() {
    const { placed } = this;
    return this.isOpen && placed ? `${placed.number} ${placed.object.name} at ${placed.x}, ${placed.y}. ` : "";
  }

  /** The sizes that the chosen object can have. */
  get steps() {
    return Object.keys(this.placed?.object.stamps ?? {}).map(Number).sort((a, b) => a - b);
  }

  /** @param {number} number */
  choose(number) {
    this.chosen = number;
    this.showChosen();
  }

  showChosen() {
    const { placed, steps } = this;
    this.object.value = String(this.chosen);
    this.remove.disabled = this.size.disabled = !placed;
    [this.size.min, this.size.max] = ["0", String(Math.max(0, steps.length - 1))];
    this.size.value = String(placed ? steps.indexOf(placed.step) : 0);
    this.showMarker();
  }

  /** Show what the arrow keys move: the chosen object, or the spot whose patch would be turned. */
  showMarker() {
    const { placed, composer } = this;
    this.marker.hidden = !this.isOpen || !composer || !(placed || this.tap.value);
    if (this.marker.hidden || !composer) return;
    const [left, top, width, height] = placed
      ? placed.object.stamps[placed.step].map((one, i) => one + (i === 0 ? placed.x : i === 1 ? placed.y : 0))
      : [this.spot[0] - 2, this.spot[1] - 2, 5, 5];
    const share = (/** @type {number} */ pixels, /** @type {number} */ whole) => `${(100 * pixels) / whole}%`;
    Object.assign(this.marker.style, {
      left: share(left, composer.layers.width), width: share(width, composer.layers.width),
      top: share(top, composer.layers.height), height: share(height, composer.layers.height),
    });
  }

  // What the reader wants -------------------------------------------------------------------------------

  /**
   * Make a change that is complete.
   * @param {string} text
   */
  say(text) {
    this.slide(text);
    this.settle();
  }

  /**
   * Make a change that is one of many of a gesture.
   * @param {string} text
   */
  slide(text) {
    this.before ??= this.edits;
    const [verb, value] = text.split(" ");
    const flipped = verb === "share" && this.exchanged;
    this.edits = withEdit(this.edits, flipped ? `share ${100 - Number(value)}` : text);
    this.change(this.edits);
  }

  /**
   * End a gesture: what was before can be gone back to.
   * @param {string[]} [edits] to be made now
   */
  settle(edits) {
    const before = this.before ?? this.edits;
    this.before = null;
    if (edits) this.edits = edits;
    if (before.join() !== this.edits.join()) {
      this.trail.past.push(before);
      this.trail.future.length = 0;
    }
    this.change(this.edits);
  }

  goBack() {
    this.go(this.trail.past, this.trail.future);
  }

  goForward() {
    this.go(this.trail.future, this.trail.past);
  }

  /**
   * @param {string[][]} from where the changes are taken from
   * @param {string[][]} to where those that are left go
   */
  go(from, to) {
    const edits = from.pop();
    if (!edits) return;
    to.push(this.edits);
    this.edits = edits;
    this.change(edits);
  }

  add() {
    if (!this.composer) return;
    const { width, height, objects } = this.composer.layers;
    const scene = objects.filter(({ placed }) => placed).length;
    this.chosen = scene + this.edits.filter((edit) => edit.startsWith("add ")).length + 1;
    this.say(`add ${this.kind.value} ${width >> 1} ${height >> 1}`);
    this.canvas.focus();
  }

  /**
   * @param {number} x
   * @param {number} y
   */
  move(x, y) {
    if (!this.composer) return;
    const { width, height } = this.composer.layers;
    this.slide(`move ${this.chosen} ${inside(x, width)} ${inside(y, height)}`);
  }

  /**
   * @param {number} x
   * @param {number} y
   */
  turn(x, y) {
    const { patch, width } = /** @type {Composer} */ (this.composer).layers;
    if (this.tap.value) this.say(`turn ${this.tap.value} ${patch[y * width + x]}`);
  }

  takeGestures() {
    /** @type {number[] | null} from the pointer to the centre of the object that is dragged */
    let grip = null;
    /** @type {Set<number> | null} the patches that a stroke has touched */
    let stroke = null;
    const paint = (/** @type {number[]} */ to) => {
      const { layers: { patch, width, height } } = /** @type {Composer} */ (this.composer);
      const [from, bit] = [this.spot, QUALITIES.indexOf(this.tap.value)];
      const steps = Math.max(1, Math.ceil(Math.hypot(to[0] - from[0], to[1] - from[1])));
      for (let step = 1; step <= steps && stroke; step++) {
        const [x, y] = from.map((start, i) => Math.round(start + ((to[i] - start) * step) / steps));
        const found = patch[inside(y, height) * width + inside(x, width)];
        if (stroke.has(found)) continue;
        stroke.add(found);
        const now = ((this.composed?.arrangement.versions[found] ?? 0) >> bit) & 1;
        if (stroke.size === 1) wanted = 1 - now;
        if (now !== wanted) this.slide(`turn ${this.tap.value} ${found}`);
      }
      this.spot = to;
    };
    let wanted = 0; // of all patches of a stroke: the other kind than the first one was
    const place = (/** @type {PointerEvent} */ event) => {
      const box = this.canvas.getBoundingClientRect();
      const [right, down] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
      return [Math.floor(right * this.canvas.width), Math.floor(down * this.canvas.height)];
    };
    this.canvas.addEventListener("pointerdown", (event) => {
      if (!this.isOpen || !this.composer || !this.composed || event.button !== 0) return;
      const [x, y] = this.spot = place(event);
      const found = objectAt(this.composer.layers, this.composed.owner, x, y);
      this.choose(found < 0 ? 0 : this.composed.arrangement.placed[found].number);
      if (this.placed) grip = [this.placed.x - x, this.placed.y - y];
      else if (this.tap.value) {
        stroke = new Set();
        paint([x, y]);
      } else return;
      this.canvas.setPointerCapture(event.pointerId);
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (stroke) paint(place(event));
      if (!grip || !this.placed) return;
      const [x, y] = place(event).map((to, i) => to + /** @type {number[]} */ (grip)[i]);
      if (this.placed.x !== x || this.placed.y !== y) this.move(x, y);
    });
    for (const end of ["pointerup", "pointercancel"]) {
      this.canvas.addEventListener(end, () => {
        if (grip || stroke) this.settle();
        [grip, stroke] = [null, null];
      });
    }
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    this.canvas.addEventListener("keyup", () => this.before && this.settle());
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (!this.isOpen || !this.composer || event.ctrlKey || event.metaKey || event.altKey) return;
    const { placed, steps } = this;
    const along = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const larger = { "+": 1, "=": 1, "-": -1 }[event.key];
    const pace = event.shiftKey ? 8 : 1;
    if (along && placed) this.move(placed.x + pace * along[0], placed.y + pace * along[1]);
    else if (along) this.moveSpot(along);
    else if (larger && placed) {
      const step = steps[steps.indexOf(placed.step) + larger];
      if (step !== undefined) this.slide(`size ${this.chosen} ${step}`);
    } else if (placed && ["Delete", "Backspace"].includes(event.key)) this.say(`remove ${this.chosen}`);
    else if (event.key === "Escape" && placed) this.choose(0);
    else if (!placed && ["Enter", " "].includes(event.key)) this.turn(this.spot[0], this.spot[1]);
    else return;
    event.preventDefault();
  }

  /** @param {number[]} along */
  moveSpot(along) {
    const { width, height } = /** @type {Composer} */ (this.composer).layers;
    this.spot = [inside(this.spot[0] + 4 * along[0], width), inside(this.spot[1] + 4 * along[1], height)];
    this.showMarker();
  }
}
