/**
 * A window over a picture: the filter that is made from it alone, and the labels in it, beside those of the whole picture.
 */
import { unpacked } from "./bits.js";
import { onDrag } from "./drag.js";
import { make, makeButton, number, percent, say } from "./elements.js";
import { ARROWS, liveFigure, makeChoice, makeLegend, spelled } from "./live.js";
import { inside } from "./maps.js";
import { paintGrid, paintLabels } from "./paint.js";

const KINDS = { rubies: [1, 2], jades: [3, 4] };
/** @type {Record<string, string>} */
const WHOSE = { own: "its own", lent: "the whole picture's" };
const AREA = 49; // of a filter

/**
 * Return the labels in a window of a map.
 * @param {ArrayLike<number>} map
 * @param {number} width of the map
 * @param {number[]} corner top and left
 * @param {number} side of the window
 */
export const windowOf = (map, width, [top, left], side) =>
  Uint8Array.from({ length: side * side }, (_, i) => map[(top + Math.floor(i / side)) * width + left + (i % side)]);

export default liveFigure("window", (data, live) => {
  const { side, step, palette, names } = data;
  const [truth, whole, filters] = [data.truth, data.whole, data.filters].map(spelled);
  /** @type {Record<string, {values: Int8Array}>} */
  const answers = { own: spelled(data.own), lent: spelled(data.lent) };
  const { values: warm } = unpacked(data.warm);
  const size = truth.shape[1];
  const stops = (size - side) / step + 1;
  const start = { row: data.at[0], column: data.at[1], whose: "own" };
  const tapsOf = (/** @type {number} */ i) => Float32Array.from(filters.values.subarray(AREA * i, AREA * (i + 1)), (value) => value * data.unit);
  const general = tapsOf(stops * stops); // the last filter is the whole picture's
  const most = data.unit * Math.max(...Array.from(filters.values, Math.abs));
  const average = (/** @type {Float32Array} */ taps) => number(taps.reduce((sum, value) => sum + value, 0) / AREA);
  const shareOf = (/** @type {Uint8Array} */ bits) => bits.reduce((sum, bit) => sum + bit, 0) / bits.length;
  const warmScene = shareOf(warm);
  const found = (/** @type {any} */ { row, column, whose }) => {
    const [i, corner] = [row * stops + column, [row * step, column * step]];
    const labels = Uint8Array.from(answers[whose].values.subarray(i * side * side, (i + 1) * side * side));
    const [real, before] = [truth, whole].map(({ values }) => windowOf(values, size, corner, side));
    const coins = data.coins.map((/** @type {number[]} */ [x, y, name]) => [x - corner[1], y - corner[0], name])
      .filter((/** @type {number[]} */ [x, y]) => Math.min(x, y) >= 0 && Math.max(x, y) < side);
    return { corner, real, before, labels, coins, taps: whose === "own" ? tapsOf(i) : general, warmth: shareOf(windowOf(warm, size, corner, side)) };
  };
  const told = (/** @type {any} */ state) => {
    const { before, labels, coins, warmth } = found(state);
    const changed = labels.filter((label, i) => label !== before[i]).length;
    const counts = Object.entries(KINDS).map(([kind, numbers]) => {
      const asked = coins.filter((/** @type {number[]} */ [, , name]) => numbers.includes(name));
      const right = (/** @type {Uint8Array} */ map) => asked.filter((/** @type {number[]} */ [x, y, name]) => map[y * side + x] === name).length;
      return asked.length ? `${kind} ${right(before)} → ${right(labels)} of ${asked.length}` : `no ${kind}`;
    });
    return `Of the window ${percent(warmth)} is warm, of the scene ${percent(warmScene)}. Of the ${side * side} pixels ${changed} get another name than in the whole picture. Coins named rightly, as a whole → in the window: ${counts.join("; ")}.`;
  };

  // Above the scene and the two filters, below the labels in the window.
  const panel = (/** @type {string} */ title, /** @type {HTMLElement[]} */ ...shown) => {
    const caption = make("div.title", {}, title);
    return { caption, element: make("div.panel", {}, caption, make("div.map", {}, ...shown)) };
  };
  const canvas = (/** @type {string} */ text) => make("canvas", { role: "img", "aria-label": text });
  const [everywhere, here, truly, earlier, now] = ["filter of the whole picture", "filter of the window", "truth in the window", "labels from the whole picture", "labels from the window"].map(canvas);
  const pane = make("div.framed");
  const halves = make("canvas.edges", { "aria-hidden": "true", width: size, height: size }); // where the warm half ends
  const border = halves.getContext("2d");
  warm.forEach((bit, i) => {
    const edge = [i - size, i + size, i % size ? i - 1 : i, (i + 1) % size ? i + 1 : i].some((near) => (warm[near] ?? bit) !== bit);
    if (!edge) return;
    border.fillStyle = bit ? "#111" : "#fff";
    border.fillRect(i % size, Math.floor(i / size), 1, 1);
  });
  const scene = make("div.scene", { tabindex: 0, role: "application", "aria-label": "The window: arrow keys move it" },
    make("img", { src: data.picture, alt: data.alt, draggable: "false" }), halves, pane);
  const move = (/** @type {number} */ down, /** @type {number} */ right) => {
    const [row, column] = [inside(down, stops), inside(right, stops)];
    if (row !== live.state.row || column !== live.state.column) live.set({ row, column });
  };
  onDrag(scene, (down) => {
    const { row, column } = live.state;
    const box = scene.getBoundingClientRect();
    const places = (/** @type {PointerEvent} */ { clientX, clientY }) => [clientY - box.top, clientX - box.left].map((one) => (one / box.width) * size / step);
    const [fromRow, fromColumn] = places(down);
    const held = [[fromRow, row], [fromColumn, column]].every(([at, first]) => at >= first && at <= first + side / step);
    const lead = held ? [row - fromRow, column - fromColumn] : [-side / step / 2, -side / step / 2]; // else its middle comes to the pointer
    if (!held) move(fromRow + lead[0], fromColumn + lead[1]);
    return (_, event) => {
      const [y, x] = places(event);
      move(y + lead[0], x + lead[1]);
    };
  });
  scene.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    const [down, right] = ARROWS[event.key] ?? [0, 0];
    if (!down && !right) return;
    move(live.state.row + down, live.state.column + right);
    event.preventDefault();
  });
  const whose = makeChoice("filters", /** @type {[string, string][]} */ (Object.entries(WHOSE)), (value) => live.set({ whose: value }));
  const reset = makeButton("Reset", () => live.set(start), "Everything as it was");
  const [mean, sum, line] = [panel("", here), make("p.sum"), make("canvas.edges", { "aria-hidden": "true" })];
  /** Hatch what has another name, and draw a line within it. @param {(i: number) => boolean} changed */
  const hatch = (changed) => {
    [line.width, line.height] = [side, side];
    const context = line.getContext("2d");
    context.fillStyle = "#111";
    for (let i = 0; i < side * side; i++) {
      const [y, x] = [Math.floor(i / side), i % side];
      const edge = [x ? i - 1 : i, x + 1 < side ? i + 1 : i, y ? i - side : i, y + 1 < side ? i + side : i].some((near) => !changed(near));
      if ((edge || (x + y) % 4 === 0) && changed(i)) context.fillRect(x, y, 1, 1);
    }
  };
  paintGrid(everywhere, { values: general, height: 7, width: 7 }, most);
  const share = (/** @type {number} */ pixels) => `${(100 * pixels) / size}%`;
  [pane.style.width, pane.style.height] = [share(side), share(side)];

  return {
    start,
    elements: [
      make("p.ask", {}, "Drag the window: ", make("b", {}, "what becomes of the filter, and of the names in it?")),
      make("div.controls", {}, whose.element, reset),
      make("div.six", {}, make("div.panel", {}, make("div.title", {}, "scene"), scene), panel(`as a whole: mean ${average(general)}`, everywhere).element, mean.element,
        panel("truth", truly).element, panel("labels, as a whole", earlier).element, panel("in the window", now, line).element),
      sum, makeLegend(names, palette), make("p.hint", {}, `Hatched in black: what has another name than in the whole picture. The line in the scene parts its warm half from its cool one. Filters: one channel, red is positive, blue negative; darkest: ±${number(most)}.`),
    ],
    draw: (state) => {
      const { corner, real, before, labels, taps } = found(state);
      [pane.style.top, pane.style.left] = corner.map(share);
      paintGrid(here, { values: taps, height: 7, width: 7 }, most);
      say(mean.caption, `${state.whose === "own" ? "in the window" : "lent"}: mean ${average(taps)}`);
      [[truly, real], [earlier, before], [now, labels]].forEach(([one, map]) => paintLabels(one, map, side, side, palette));
      hatch((i) => labels[i] !== before[i]);
      whose.show(state.whose);
      say(sum, told(state));
    },
    words: (state) => `Window from row ${state.row * step + 1}, column ${state.column * step + 1}, with ${WHOSE[state.whose]} filters. ${told(state)}`,
    known: ({ row, column, whose: filter }) => [row, column].every((at) => inside(at, stops) === at) && filter in WHOSE,
  };
});
