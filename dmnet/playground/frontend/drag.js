/**
 * What the reader takes hold of, by mouse, finger and keys.
 */
import { within } from "./elements.js";
import { ARROWS } from "./live.js";

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
