/**
 * Live figures: what all of them share. A figure is one module, which ends with
 *
 *     export default liveFigure("name", (data, live) => ({ start, elements, draw, words }));
 *
 * and a cell of a notebook shows it by `LiveFigure("name", data, still, alt)`, see dmnet/playground/live.py. The figure
 * holds its whole state as numbers and texts by name. It calls `live.set(changes)` when the reader moves something; the
 * base then draws once in the next frame, tells a screen reader once the reader pauses, and keeps the state in the
 * page's address.
 *
 * @typedef {Record<string, any>} LiveState values are numbers and texts
 * @typedef {object} Live
 * @property {LiveState} state
 * @property {(changes: LiveState) => void} set
 *
 * @typedef {object} Parts what a figure is
 * @property {LiveState} start
 * @property {HTMLElement[]} elements
 * @property {(state: any) => void} draw shows a state
 * @property {(state: any) => string} words the same for a screen reader
 * @property {(state: any) => boolean} known whether a state from an address makes sense
 */
import { make, paused, say } from "./elements.js";

const MARK = "#live=";

/**
 * Return a page's fragment for a state, e.g. `#live=digits&w=2`; what is as at the start is left out.
 * @param {string} name
 * @param {LiveState} state
 * @param {LiveState} start
 */
export function toHash(name, state, start) {
  const changed = Object.entries(state).filter(([key, value]) => value !== start[key]);
  return `${MARK}${name}&${new URLSearchParams(changed.map(([key, value]) => [key, String(value)]))}`;
}

/**
 * Return the state in a fragment; what is missing, or no number where one belongs, is as at the start.
 * @param {string} hash
 * @param {string} name
 * @param {LiveState} start
 * @returns {LiveState}
 */
export function fromHash(hash, name, start) {
  const mark = `${MARK}${name}&`;
  const given = new URLSearchParams(hash.startsWith(mark) ? hash.slice(mark.length) : "");
  return Object.fromEntries(Object.entries(start).map(([key, value]) => {
    const text = given.get(key);
    if (text === null) return [key, value];
    if (typeof value === "string") return [key, text];
    return [key, text.trim() && Number.isFinite(Number(text)) ? Number(text) : value];
  }));
}

/**
 * Return what a notebook (`render`, as an anywidget) and a page of the book (`fill`) ask for.
 * @param {string} name
 * @param {(data: any, live: Live) => Parts} build
 */
export function liveFigure(name, build) {
  /**
   * @param {HTMLElement} place
   * @param {string} text JSON
   * @param {boolean} address whether the page's address holds the state
   */
  const show = (place, text, address) => {
    let frame = 0;
    const [announce, remember] = [paused(500), paused(200)];
    const redraw = () => {
      frame = 0;
      parts.draw(live.state);
    };
    /** @type {Live} */
    const live = {
      state: {},
      set: (changes) => {
        Object.assign(live.state, changes);
        frame ||= requestAnimationFrame(redraw);
        announce(() => say(aloud, parts.words(live.state)));
        if (address) remember(() => history.replaceState(history.state, "", toHash(name, live.state, parts.start)));
      },
    };
    const parts = build(JSON.parse(text), live);
    const held = address ? fromHash(location.hash, name, parts.start) : { ...parts.start };
    live.state = parts.known(held) ? held : { ...parts.start };
    const aloud = make("p.aloud", { role: "status", "aria-live": "polite" });
    redraw(); // if something is wrong, the still picture stays
    place.prepend(make(`section.dmnet-app.live.${name}`, { "aria-label": `Live figure: ${name}` }, ...parts.elements, aloud));
    Object.assign(place, { live }); // for the console, and for tests
  };
  return {
    render: (/** @type {{model: any, el: HTMLElement}} */ { model, el }) => show(el, model.get("data"), false),
    fill: (/** @type {HTMLElement} */ place) => show(place, place.querySelector("script")?.textContent ?? "", true),
  };
}

// Numbers -------------------------------------------------------------------------------------------------

/**
 * A number in at most so many places behind the point, with a true minus.
 * @param {number} value
 */
export const number = (value, places = 2) => String(Number(value.toFixed(places))).replace("-", "−");

/**
 * The same in four characters, where that can be: for a cell.
 * @param {number} value
 */
export const short = (value) => [2, 1, 0].map((places) => number(value, places)).find((text) => text.length <= 4) ?? number(value, 0);

/**
 * The number nearest to a value that is within limits.
 * @param {number} value
 * @param {number} low
 * @param {number} high
 */
export const within = (value, low, high) => Math.max(low, Math.min(value, high));

/**
 * Return a map that came as bits, e.g. of tiles, as a byte for each pixel: 0 or 1.
 * @param {{shape: number[], bits: string}} packed base64, the first pixel in the highest bit
 */
export function unpacked({ shape: [height, width], bits }) {
  const bytes = Uint8Array.from(atob(bits), (letter) => letter.charCodeAt(0));
  return { width, height, values: Uint8Array.from({ length: height * width }, (_, i) => (bytes[i >> 3] >> (7 - (i & 7))) & 1) };
}

/**
 * Return an array that came as a text: small whole numbers, a letter each, 80 more than the number.
 * @param {{shape: number[], text: string}} packed
 */
export const spelled = ({ shape, text }) => ({ shape, values: Int8Array.from(text, (letter) => letter.charCodeAt(0) - 80) });

/**
 * A part of a drawing (SVG), or change one that is there.
 * @param {string | SVGElement} part a tag, or the part
 * @param {Record<string, any>} attributes
 * @param {...(Node | string)} children
 */
export function draw(part, attributes, ...children) {
  const element = typeof part === "string" ? document.createElementNS("http://www.w3.org/2000/svg", part) : part;
  Object.entries(attributes).forEach(([name, value]) => element.setAttribute(name, String(value)));
  element.append(...children);
  return element;
}

// What the reader takes hold of ---------------------------------------------------------------------------

/**
 * Follow a finger or a mouse from where it is put down.
 * @param {HTMLElement} element
 * @param {(event: PointerEvent) => ((right: number, event: PointerEvent) => void) | undefined} begin returns what is done at
 *   every move; it is told how far to the right of the beginning the pointer is, in pixels
 */
export function onDrag(element, begin) {
  element.addEventListener("pointerdown", (down) => {
    const move = down.button === 0 ? begin(down) : undefined;
    if (!move) return;
    const moved = (/** @type {PointerEvent} */ event) => move(event.clientX - down.clientX, event);
    element.setPointerCapture(down.pointerId);
    element.addEventListener("pointermove", moved);
    element.addEventListener("lostpointercapture", () => element.removeEventListener("pointermove", moved), { once: true });
  });
}

/** @type {Record<string, number[]>} rows down, columns to the right */
export const ARROWS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

/**
 * A number in a sentence that is dragged sideways, or changed by the arrow keys.
 * @param {string} label
 * @param {{min: number, max: number, step: number}} limits
 * @param {(value: number) => void} change
 */
export function makeScrub(label, { min, max, step }, change) {
  let value = 0;
  const give = (/** @type {number} */ next) => change(within(Math.round(next / step) * step, min, max));
  const element = make("span.scrub", {
    role: "slider", tabindex: 0, "aria-label": label, "aria-valuemin": min, "aria-valuemax": max, title: "Drag sideways",
    onkeydown: (/** @type {KeyboardEvent} */ event) => {
      const [down, right] = ARROWS[event.key] ?? [0, 0];
      if (down || right) give(value + (right - down) * step);
      else if (event.key === "Home" || event.key === "End") give(event.key === "Home" ? min : max);
      else return;
      event.preventDefault();
    },
  });
  onDrag(element, () => {
    const from = value;
    return (right) => give(from + Math.round(right / 10) * step);
  });
  const show = (/** @type {number} */ now) => {
    value = now;
    say(element, number(now));
    element.setAttribute("aria-valuenow", now);
    element.setAttribute("aria-valuetext", number(now));
  };
  return { element, show };
}

/**
 * A few choices side by side, of which one holds.
 * @param {string} label
 * @param {[string, string][]} options value and text
 * @param {(value: string) => void} change
 */
export function makeChoice(label, options, change) {
  const name = `live-${Math.random().toString(36).slice(2)}`;
  const inputs = options.map(([value]) => make("input", { type: "radio", name, value, onchange: () => change(value) }));
  const element = make("fieldset.choice", {}, make("legend", {}, label),
    ...options.map(([, text], i) => make("label", {}, inputs[i], make("span", {}, text))));
  const show = (/** @type {string | number} */ now) => inputs.forEach((input) => { input.checked = input.value === String(now); });
  return { element, show };
}

/**
 * Let the arrow keys go from cell to cell; of all cells only the present one is a stop of the Tab key.
 * @param {HTMLElement} element
 * @param {() => HTMLElement[]} cells
 * @param {() => number} columns
 */
export function rove(element, cells, columns) {
  element.addEventListener("focusin", ({ target }) => {
    if (cells().includes(/** @type {HTMLElement} */ (target))) cells().forEach((cell) => { cell.tabIndex = cell === target ? 0 : -1; });
  });
  element.addEventListener("keydown", (event) => {
    const [down, right] = ARROWS[event.key] ?? [0, 0];
    const at = cells().indexOf(/** @type {HTMLElement} */ (event.target));
    if (at < 0 || !(down || right)) return;
    cells()[within(at + down * columns() + right, 0, cells().length - 1)].focus();
    event.preventDefault();
  });
}

/**
 * A small grid of numbers: red is positive, blue negative. A cell is pointed at by mouse, finger or focus.
 * @param {string} title
 * @param {(row: number, column: number) => void} point
 * @param {(row: number, column: number, digit: number) => void} [edit] if given, the numbers are digits to be changed
 */
export function makeGrid(title, point, edit) {
  /** @type {HTMLElement[]} */
  let cells = [];
  /** @type {number[][]} */
  let rows = [];
  /** @type {string[]} what each cell shows: only what changes is drawn anew */
  let shown = [];
  const frame = make("span.area", { hidden: true });
  const body = make("div.grid", { role: "grid", "aria-label": title });
  const element = make("div.panel", {}, make("div.title", {}, title), body);
  const at = (/** @type {EventTarget | null} */ target) => {
    const i = cells.indexOf(/** @type {HTMLElement} */ (target));
    return i < 0 ? null : [Math.floor(i / rows[0].length), i % rows[0].length];
  };
  const pointed = (/** @type {Event} */ { target }) => {
    const place = at(target);
    if (place) point(place[0], place[1]);
  };
  body.addEventListener("pointerover", pointed);
  body.addEventListener("focusin", pointed);
  rove(body, () => cells, () => rows[0].length);
  if (edit) {
    body.classList.add("editable");
    onDrag(body, ({ target }) => {
      const place = at(target);
      if (!place) return undefined;
      const [row, column] = place;
      const from = rows[row][column];
      return (right) => edit(row, column, within(from + Math.round(right / 10), 0, 9));
    });
    body.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      const place = at(event.target);
      if (!place || event.ctrlKey || event.metaKey || event.altKey) return;
      const now = rows[place[0]][place[1]];
      if (/^\d$/.test(event.key)) edit(place[0], place[1], Number(event.key));
      else if (event.key === "+" || event.key === "-") edit(place[0], place[1], within(now + (event.key === "+" ? 1 : -1), 0, 9));
    });
  }
  /**
   * @param {number[][]} numbers
   * @param {(row: number, column: number) => string} [kind] a class for a cell, or ""
   */
  const show = (numbers, kind = () => "") => {
    const [height, width] = [numbers.length, numbers[0].length];
    if (rows.length !== height || rows[0].length !== width) {
      cells = numbers.flat().map((_, i) => make("span.number", { role: "gridcell", tabindex: i ? -1 : 0, style:
        `grid-area: ${Math.floor(i / width) + 1} / ${i % width + 1}` }));
      const lines = numbers.map((_, y) => make("div.line", { role: "row" }, ...cells.slice(y * width, (y + 1) * width)));
      body.replaceChildren(...lines, frame);
      shown = [];
      body.style.setProperty("--columns", width);
    }
    rows = numbers;
    const most = Math.max(...numbers.flat().map(Math.abs)) || 1;
    cells.forEach((cell, i) => {
      const [y, x] = [Math.floor(i / width), i % width];
      const value = numbers[y][x];
      const now = `${value} ${most} ${kind(y, x)}`;
      if (shown[i] === now) return;
      shown[i] = now;
      say(cell, short(value));
      cell.className = `number ${value < 0 ? "minus" : "plus"} ${kind(y, x)}`;
      cell.style.setProperty("--tint", String(Math.abs(value) / most));
      cell.ariaLabel = `row ${y + 1}, column ${x + 1}: ${number(value)}`;
    });
  };
  /** @param {number[] | null} area top, left, bottom and right; the last two are no more part of it */
  const mark = (area) => {
    frame.hidden = !area;
    if (area) frame.style.gridArea = `${area[0] + 1} / ${area[1] + 1} / ${area[2] + 1} / ${area[3] + 1}`;
  };
  return { element, show, mark };
}
