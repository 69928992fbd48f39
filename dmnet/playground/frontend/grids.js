/**
 * Numbers in a grid, which are pointed at and changed.
 */
import { onDrag, rove } from "./drag.js";
import { make, number, say, within } from "./elements.js";

/**
 * The same in four characters, where that can be: for a cell.
 * @param {number} value
 */
export const short = (value) => [2, 1, 0].map((places) => number(value, places)).find((text) => text.length <= 4) ?? number(value, 0);

/**
 * A small grid of numbers: red is positive, blue negative. A cell is pointed at by mouse, finger or focus.
 * @param {string} title
 * @param {(row: number, column: number, how: string) => void} point `how` is "pointerover" or "focusin"
 * @param {(row: number, column: number, digit: number) => void} [edit] if given, the numbers are digits to be changed
 * @param {(row: number, column: number) => string} called what a screen reader says of a place
 */
export function makeGrid(title, point, edit, called = (row, column) => `row ${row + 1}, column ${column + 1}`) {
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
  const pointed = (/** @type {Event} */ { target, type }) => {
    const place = at(target);
    if (place) point(place[0], place[1], type);
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
   * @param {number} [limit] what the darkest colour stands for; else the largest magnitude
   * @param {(value: number) => string} [text] what a cell shows
   */
  const show = (numbers, kind = () => "", limit = 0, text = short) => {
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
    const most = limit || Math.max(...numbers.flat().map(Math.abs)) || 1;
    cells.forEach((cell, i) => {
      const [y, x] = [Math.floor(i / width), i % width];
      const value = numbers[y][x];
      const now = `${value} ${most} ${kind(y, x)} ${called(y, x)}`;
      if (shown[i] === now) return;
      shown[i] = now;
      say(cell, text(value));
      cell.className = `number ${value < 0 ? "minus" : "plus"} ${kind(y, x)}`;
      cell.style.setProperty("--tint", String(Math.min(1, Math.abs(value) / most)));
      cell.style.setProperty("--letters", String(text(value).length));
      cell.ariaLabel = `${called(y, x)}: ${number(value)}`;
    });
  };
  /** @param {number[] | null} area top, left, bottom and right; the last two are no more part of it */
  const mark = (area) => {
    frame.hidden = !area;
    if (area) frame.style.gridArea = `${area[0] + 1} / ${area[1] + 1} / ${area[2] + 1} / ${area[3] + 1}`;
  };
  return { element, show, mark };
}
