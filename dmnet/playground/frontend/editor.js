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
import { QUALITIES, visibleShare } from "./compose.js";
import { EMPTY, readEdit, withEdit } from "./edits.js";
import { make, makeButton, percent, say } from "./elements.js";
import { Gestures } from "./gestures.js";
import { inside } from "./maps.js";
import { contradiction, namedWords, namesOf, PAIRS, Tools } from "./pad.js";

const BEHIND = "The truth goes by the sides and blocks behind the tiles: “Reveal” shows them.";
const MOST = 4; // objects that are listed

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
    this.tools = new Tools(() => this.choose(0));
    this.makeControls(edit);
    for (const kind of ["pointerenter", "focus"]) this.share.addEventListener(kind, prepare);
    this.marker = make("div.marker", { hidden: true });
    panel.figure.querySelector(".frame")?.append(this.marker);
    this.gestures = new Gestures(this);
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
    this.remove = makeButton("Remove", () => this.take(), "Take this object away");
    this.names = make("p.names");
    this.contrary = make("p.fine", { hidden: true });
    this.share = slider("share", { min: 0, max: 100, step: 1, "aria-label": "Warm share of the ground, per cent" });
    this.shareValue = make("output");
    this.shareRow = make("label.ground", { hidden: true }, make("span", {}, "cool"), this.share, make("span", {}, "warm"));
    this.panel.figure.querySelector(".frame")?.after(this.shareRow, this.shareValue);
    this.brightness = slider("brightness", { min: 40, max: 160, step: 5, "aria-label": "Brightness of the light, per cent" });
    this.warmth = slider("warmth", { min: -100, max: 100, step: 5, "aria-label": "Colour of the light, from blue to orange" });
    this.undo = makeButton("Undo", () => this.goBack(), "Take the last change back");
    this.restore = makeButton("As it was", () => this.settle([]), "Take all changes back");
    const done = makeButton("Done", close, "Close the workbench; the changes stay");
    const empty = makeButton("Empty", () => this.draw(), "Take all objects away; the ground stays");
    this.lightNote = make("p.fine", { hidden: true }, "This light is not that of the pictures it was trained on; it may take much for background.");
    this.stage = make("div.stage", {}, this.tools.element, this.names);
    this.bench = make("section.bench", { "aria-label": "Workbench" },
      setting("Object", this.object, this.remove), setting("Size", this.size),
      setting("Exchange", make("div.checks", {}, ...this.exchanges.map(({ element }) => element))),
      setting("Light", make("span.ends", {}, "dim"), this.brightness, make("span.ends", {}, "bright")),
      setting("", make("span.ends", {}, "blue"), this.warmth, make("span.ends", {}, "orange")), this.lightNote, this.contrary,
      make("div.buttons", {}, this.undo, this.restore, empty, done),
      make("p.fine", {}, "Objects can be dragged, whatever a tap does. By keys: arrows move the frame on the picture, and Enter is a tap; of a chosen object " +
        "arrows change the place, + and − the size, Delete takes it away. Ctrl+Z takes a change back, Esc closes."));
  }

  // What it shows ---------------------------------------------------------------------------------------

  open() {
    this.isOpen = true;
    this.stage.prepend(this.panel.figure);
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
      this.tools.fill(composer.layers, composed.scene.facts.questions);
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
    say(this.contrary, questions.every(({ majority }) => majority) ? "" : contradiction(composed) || BEHIND);
    this.contrary.hidden = !this.contrary.textContent;
    this.brightness.value = String(this.value("brightness", 100));
    this.warmth.value = String(this.value("warmth", 0));
    this.lightNote.hidden = this.warmth.value === "0" && this.brightness.value === "100";
    this.undo.disabled = !this.trail.past.length;
    this.restore.disabled = !edits.length;
    this.showChosen();
  }

  /**
   * Say how many of the objects the network has named rightly.
   * @param {ArrayLike<number>} labels the network's
   */
  tell(labels) {
    if (!this.isOpen || this.composed?.owner.length !== labels.length) return;
    const names = namesOf(this.composed, labels);
    this.names.replaceChildren(`${namedWords(names)} `, ...names.wrong.slice(0, MOST).map(({ number, object }) =>
      makeButton(`${number} ${object.name}`, () => this.choose(number), "Choose it")), names.wrong.length > MOST ? " …" : "");
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

  /** How the network has named the objects, while the workbench is open. */
  get said() {
    return this.isOpen ? this.names.textContent : "";
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

  /** Show what the arrow keys move: the chosen object, or the spot where a tap would be. */
  showMarker() {
    const { placed, composer, tools: { tool, stamp } } = this;
    this.marker.hidden = !this.isOpen || !composer || !(placed || tool || this.canvas.matches(":focus-visible"));
    if (this.marker.hidden || !composer) return;
    const kind = placed?.object ?? composer.layers.objects.find(({ name, placed: there }) => !there && name === stamp);
    const { x, y } = placed ?? { x: this.spot[0], y: this.spot[1] };
    const [left, top, width, height] = kind ? kind.stamps[placed?.step ?? 0] : [-2, -2, 5, 5];
    const share = (/** @type {number} */ pixels, /** @type {number} */ whole) => `${(100 * pixels) / whole}%`;
    Object.assign(this.marker.style, {
      left: share(x + left, composer.layers.width), width: share(width, composer.layers.width),
      top: share(y + top, composer.layers.height), height: share(height, composer.layers.height),
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

  /**
   * Put one more object into the picture, as the first change of a gesture.
   * @param {string} kind
   * @param {number} x
   * @param {number} y
   */
  put(kind, x, y) {
    if (!this.composer) return;
    const { width, height, objects } = this.composer.layers;
    const scene = objects.filter(({ placed }) => placed).length;
    this.chosen = scene + this.edits.filter((edit) => edit.startsWith("add ")).length + 1;
    this.slide(`add ${kind} ${inside(x, width)} ${inside(y, height)}`);
  }

  /** Choose nothing; the keyboard's spot is where the object was. */
  letGo() {
    if (this.placed) this.spot = [this.placed.x, this.placed.y];
    this.choose(0);
  }

  /** Take the chosen object away. */
  take() {
    const number = this.chosen;
    this.letGo();
    this.say(`remove ${number}`);
  }

  /** @param {number[]} to where the next object would be put */
  point(to) {
    const { width, height } = /** @type {Composer} */ (this.composer).layers;
    this.spot = [inside(to[0], width), inside(to[1], height)];
    this.showMarker();
  }

  /** Begin a drawing: nothing but the ground, and a stamp in the hand. */
  draw() {
    this.settle(withEdit(this.edits, EMPTY));
    this.tools.choose(this.tools.stamp || "ruby");
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
    this.say(`turn ${this.tools.quality} ${patch[y * width + x]}`);
  }
}
