/**
 * What mouse, finger and keys do on the workbench's picture: take hold of an object, put one, turn patches, erase.
 *
 * @import { Editor } from "./editor.js"
 */
import { objectAt, QUALITIES } from "./compose.js";
import { inside } from "./maps.js";
import { COVER, ERASE } from "./pad.js";

const TREMOR = 3; // pixels of the picture that a finger may slip without moving what it has just put there

export class Gestures {
  /** @param {Editor} editor */
  constructor(editor) {
    this.editor = editor;
    /** @type {number[] | null} from the pointer to the centre of the object that is dragged */
    this.grip = null;
    /** @type {number[] | null} where an object was put, until it is dragged from there */
    this.fresh = null;
    /** @type {Set<number> | null} the patches that a stroke has touched */
    this.stroke = null;
    this.wanted = 0; // of all patches of a stroke: the other kind than the first one was
    const { canvas } = editor;
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.moved(this.place(event)));
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => this.end());
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("keyup", () => editor.before && editor.settle());
    for (const kind of ["focus", "blur"]) canvas.addEventListener(kind, () => editor.showMarker());
  }

  /**
   * Return the pixel of the picture under the pointer.
   * @param {PointerEvent} event
   */
  place(event) {
    const { canvas } = this.editor;
    const box = canvas.getBoundingClientRect();
    const [right, down] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    return [Math.floor(right * canvas.width), Math.floor(down * canvas.height)];
  }

  /** @param {PointerEvent} event */
  down(event) {
    const { editor } = this;
    if (!editor.isOpen || !editor.composed || event.button !== 0) return;
    const [x, y] = editor.spot = this.place(event);
    if (this.tap(x, y)) this.grip ??= editor.placed ? [editor.placed.x - x, editor.placed.y - y] : null;
    else if (editor.tools.quality) {
      this.stroke = new Set();
      this.paint([x, y]);
    }
    if (this.grip || this.stroke) editor.canvas.setPointerCapture(event.pointerId);
  }

  /**
   * Take hold of what is there, take it away, or put something; return whether something is in the hand then.
   * @param {number} x
   * @param {number} y
   */
  tap(x, y) {
    const { editor } = this;
    const { tool, stamp } = editor.tools;
    const found = this.numberAt(x, y);
    if (stamp && (!found || stamp === COVER)) {
      editor.put(stamp, x, y);
      [this.grip, this.fresh] = [[0, 0], [x, y]];
      return true;
    }
    editor.choose(tool === ERASE ? 0 : found);
    if (tool === ERASE && found) editor.say(`remove ${found}`);
    return editor.chosen > 0;
  }

  /**
   * The number of the object that is seen at a pixel; 0 where there is none.
   * @param {number} x
   * @param {number} y
   */
  numberAt(x, y) {
    const { composer, composed } = this.editor;
    if (!composer || !composed) return 0;
    const found = objectAt(composer.layers, composed.owner, x, y);
    return found < 0 ? 0 : composed.arrangement.placed[found].number;
  }

  /** @param {number[]} to */
  moved(to) {
    const { editor } = this;
    if (!editor.isOpen) return;
    if (this.stroke) return this.paint(to);
    if (!this.grip) {
      if (editor.tools.stamp && !editor.chosen) editor.point(to); // shows where it would lie
      return;
    }
    if (!editor.placed || (this.fresh && Math.hypot(to[0] - this.fresh[0], to[1] - this.fresh[1]) < TREMOR)) return;
    this.fresh = null;
    const [x, y] = [to[0] + this.grip[0], to[1] + this.grip[1]];
    if (editor.placed.x !== x || editor.placed.y !== y) editor.move(x, y);
  }

  end() {
    if (this.grip || this.stroke) this.editor.settle();
    [this.grip, this.fresh, this.stroke] = [null, null, null];
  }

  /**
   * Turn the patches between the last place and this one.
   * @param {number[]} to
   */
  paint(to) {
    const { editor } = this;
    const { composer, composed, tools: { quality }, spot: from } = editor;
    if (!composer) return;
    const { patch, width, height } = composer.layers;
    const bit = QUALITIES.indexOf(quality);
    const steps = Math.max(1, Math.ceil(Math.hypot(to[0] - from[0], to[1] - from[1])));
    for (let step = 1; step <= steps && this.stroke; step++) {
      const [x, y] = from.map((start, i) => Math.round(start + ((to[i] - start) * step) / steps));
      const found = patch[inside(y, height) * width + inside(x, width)];
      if (this.stroke.has(found)) continue;
      this.stroke.add(found);
      const now = ((composed?.arrangement.versions[found] ?? 0) >> bit) & 1;
      if (this.stroke.size === 1) this.wanted = 1 - now;
      if (now !== this.wanted) editor.slide(`turn ${quality} ${found}`);
    }
    editor.spot = to;
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const { editor } = this;
    if (!editor.isOpen || !editor.composer || event.ctrlKey || event.metaKey || event.altKey) return;
    const { placed, steps } = editor;
    const along = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const larger = { "+": 1, "=": 1, "-": -1 }[event.key];
    const pace = event.shiftKey ? 8 : 1;
    if (along && placed) editor.move(placed.x + pace * along[0], placed.y + pace * along[1]);
    else if (along) editor.point([editor.spot[0] + 4 * along[0], editor.spot[1] + 4 * along[1]]);
    else if (larger && placed) {
      const step = steps[steps.indexOf(placed.step) + larger];
      if (step !== undefined) editor.slide(`size ${editor.chosen} ${step}`);
    } else if (placed && ["Delete", "Backspace"].includes(event.key)) editor.take();
    else if (placed && ["Escape", "Enter", " "].includes(event.key)) editor.letGo();
    else if (["Enter", " "].includes(event.key)) this.press();
    else return;
    event.preventDefault();
  }

  /** What a tap does, at the spot that the arrow keys move. */
  press() {
    const { editor } = this;
    const { spot: [x, y], tools: { quality } } = editor;
    if (!this.tap(x, y)) {
      if (quality) editor.turn(x, y);
    } else if (this.grip) {
      this.end();
      editor.letGo(); // so that the next one can be put
    }
  }
}
