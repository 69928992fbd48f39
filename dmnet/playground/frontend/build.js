/**
 * A filter is built from a scene: picture -> projected map -> bins -> filter; and laid over the features that it meets.
 *
 * @import { Rows } from "./filtering.js"
 */
import { make, makeButton, number, say } from "./elements.js";
import { binOf, correlate, factors, pool } from "./filtering.js";
import { makeGrid } from "./grids.js";
import { ARROWS, liveFigure, makeCanvas, makeChoice, spelled } from "./live.js";
import { inside } from "./maps.js";
import { paintGrid } from "./paint.js";
import { draw } from "./shapes.js";

/**
 * Return one channel of one scene's maps, which came as small whole numbers with a step for each channel.
 * @param {{shape: number[], values: Int8Array}} maps [scenes, channels, size, size]
 * @param {number[]} steps
 * @param {number} scene
 * @param {number} channel
 * @returns {Rows}
 */
export function rowsOf({ shape: [, channels, size], values }, steps, scene, channel) {
  const first = (scene * channels + channel) * size * size;
  const line = (/** @type {number} */ y) => Array.from(values.subarray(first + y * size, first + (y + 1) * size), (value) => value * steps[channel]);
  return Array.from({ length: size }, (_, y) => line(y));
}

/**
 * Return the tap in whose bin a place lies; where bins overlap, the one whose middle is nearer.
 * @param {number} place 0..1
 * @param {number} k
 */
export const tapAt = (place, k) => inside(place * k - 0.5, k);

/** @param {number[]} bin its beginning and end: rows or columns as they are counted aloud */
const counted = ([first, end]) => (end - first > 1 ? `${first + 1}–${end}` : `${first + 1}`);

/**
 * A line of a path around a rectangle.
 * @param {number} x
 * @param {number} y
 * @param {number} width
 * @param {number} height
 */
const around = (x, y, width, height) => `M${x} ${y}h${width}v${height}h${-width}z`;

export default liveFigure("build", (data, live) => {
  const maps = ["projected", "reduced"].map((name) => spelled(data[name]));
  const size = maps[0].shape[2];
  const start = { scene: 0, channel: 0, k: 7, u: data.at[0], v: data.at[1], y: data.at[2], x: data.at[3], keptTap: 0, keptCell: 0 };
  /** @type {any} what does not depend on what is pointed at */
  let built = { key: "" };
  const found = (/** @type {any} */ { scene, channel, k }) => {
    const key = `${scene} ${channel} ${k}`;
    if (built.key === key) return built;
    const [projected, reduced] = maps.map((one, i) => rowsOf(one, data.steps[i], scene, channel));
    const [filter, other] = [projected, rowsOf(maps[0], data.steps[0], 1 - scene, channel)].map((rows) => pool(rows, k));
    built = { key, projected, reduced, filter, other, response: correlate(reduced, filter) };
    return built;
  };
  const told = (/** @type {any} */ state) => {
    const { k, u, v, x, y } = state;
    const { reduced, filter, other, response } = found(state);
    const [rows, columns] = [u, v].map((i) => binOf(i, k, size));
    const pairs = factors(reduced, filter, y, x);
    const [within, pair, tap] = [pairs.flat().filter(Boolean).length, pairs[u][v], number(filter[u][v])];
    const cells = (rows[1] - rows[0]) * (columns[1] - columns[0]);
    const count = within === 1 ? "one product" : `${within} products`;
    const zeros = within < k * k ? `; ${k * k - within} taps lie outside, on zeros` : "";
    const added = pair?.[0] ? `adds ${tap} · ${number(pair[0])} = ${number(pair[0] * pair[1])}` : "meets a zero, and adds nothing";
    const elsewhere = `In ${state.scene ? "our scene" : "the witness"} it is ${number(other[u][v])}.`;
    return {
      tap: `The tap in row ${u + 1}, column ${v + 1} is the mean of the ${cells} cells in its bin, rows ${counted(rows)}, columns ${counted(columns)}: ${tap}. ${elsewhere}`,
      cell: `At row ${y + 1}, column ${x + 1} the response is ${number(response[y][x])}, the sum of ${count}${zeros}. The tap ${added}.`,
    };
  };

  // The maps, with what is marked on them: all bins, a bin with shade around it, a frame, a cell.
  const panel = (/** @type {string} */ title, /** @type {HTMLElement} */ shown, properties = {}) => {
    const [bins, shade, lit, frame, cell] = ["bins", "shade", "lit", "frame", "cell"].map((name) => draw("path", { class: name }));
    const marks = draw("svg", { viewBox: `0 0 ${size} ${size}`, "aria-hidden": "true" }, bins, shade, lit, frame, cell);
    const map = make("div.map", properties, shown, marks);
    return { map, bins, shade, lit, frame, cell, element: make("div.panel", {}, make("div.title", {}, title), map) };
  };
  const [projected, reduced, response] = ["w · f + b", "r(f)", "response"].map(makeCanvas);
  const image = make("img", { alt: data.alt, draggable: "false" });
  const [scene, project, reduce, answer] = [panel("1. scene", image), panel("2. w · f + b, in bins", projected), panel("4. what it meets, r(f)", reduced),
    panel("6. response", response, { tabindex: 0, role: "application", "aria-label": "Response: arrow keys move the cell" })];
  /** What is kept goes elsewhere by a click or by keys only. */
  const go = (/** @type {string} */ kept, /** @type {boolean} */ passing, /** @type {Record<string, number>} */ place) => {
    if (!(passing && live.state[kept]) && Object.entries(place).some(([key, value]) => live.state[key] !== value)) live.set(place);
  };
  const tap = (/** @type {number} */ u, /** @type {number} */ v, /** @type {string} */ how) => go("keptTap", how === "pointerover", { u, v });
  const [filter, products] = [makeGrid("3. filter", tap), makeGrid("5. products, to sum", tap)];
  /** A click keeps what is pointed at; one on what is kept lets it go. */
  const keeps = (/** @type {HTMLElement} */ element, /** @type {string} */ kept, /** @type {string[]} */ keys) => {
    let before = "";
    const now = () => [1, ...keys.map((key) => live.state[key])].join();
    element.addEventListener("pointerdown", () => { before = live.state[kept] ? now() : ""; });
    element.addEventListener("click", () => live.set({ [kept]: Number(before !== now()) }));
  };
  const point = (/** @type {HTMLElement} */ map, /** @type {(down: number, right: number, passing: boolean) => void} */ act) => {
    const follow = (/** @type {PointerEvent} */ { clientX, clientY, buttons }) => {
      const box = map.getBoundingClientRect();
      act((clientY - box.top) / box.height, (clientX - box.left) / box.width, !buttons);
    };
    map.addEventListener("pointerdown", follow);
    map.addEventListener("pointermove", follow);
  };
  for (const one of [scene.map, project.map, filter.element, products.element]) keeps(one, "keptTap", ["u", "v"]);
  for (const { map } of [reduce, answer]) keeps(map, "keptCell", ["y", "x"]);
  for (const { map } of [scene, project]) point(map, (down, right, passing) => go("keptTap", passing, { u: tapAt(down, live.state.k), v: tapAt(right, live.state.k) }));
  for (const { map } of [reduce, answer]) point(map, (down, right, passing) => go("keptCell", passing, { y: inside(down * size - 0.5, size), x: inside(right * size - 0.5, size) }));

  const which = makeChoice("scene", [["0", "ours"], ["1", "the witness"]], (value) => live.set({ scene: Number(value) }));
  const channels = makeChoice("channel", data.channels.map((/** @type {number} */ name, /** @type {number} */ i) => [String(i), String(name)]),
    (value) => live.set({ channel: Number(value) }));
  const taps = makeChoice("k", ["1", "3", "5", "7"].map((k) => [k, k]), (value) => {
    const [k, { u, v }] = [Number(value), live.state];
    live.set({ k, u: tapAt((u + 0.5) / live.state.k, k), v: tapAt((v + 0.5) / live.state.k, k) });
  });
  const reset = makeButton("Reset", () => live.set(start), "Everything as it was");
  const [hint, first, second] = [make("p.hint"), make("p.sum"), make("p.sum")];
  const flow = make("div.flow", {}, scene.element, project.element, filter.element, first, reduce.element, products.element, answer.element, second);
  flow.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    const [cell, [down, right]] = [event.target === answer.map, ARROWS[event.key] ?? [0, 0]];
    const kept = cell ? "keptCell" : "keptTap";
    if (event.key === "Escape") live.set({ keptTap: 0, keptCell: 0 });
    else if (event.key === "Enter" || event.key === " ") live.set({ [kept]: 1 - live.state[kept] });
    else if (cell && (down || right)) live.set({ y: inside(live.state.y + down, size), x: inside(live.state.x + right, size) });
    else return;
    event.preventDefault();
  });
  let painted = "";

  return {
    start,
    elements: [
      make("p.ask", {}, "Point at a tap of the filter: ", make("b", {}, "which part of the scene is it made of?"), " Then at a cell of the response."),
      make("div.controls", {}, which.element, channels.element, taps.element, reset), hint, flow,
    ],
    draw: (state) => {
      const { k, u, v, x, y } = state;
      const now = found(state);
      if (painted !== now.key) {
        image.src = data.pictures[state.scene];
        [[projected, now.projected], [reduced, now.reduced], [response, now.response]].forEach(([one, rows]) =>
          paintGrid(one, { values: Float32Array.from(rows.flat()), height: size, width: size }));
        flow.style.setProperty("--k", k);
      }
      painted = now.key;
      const here = (/** @type {number} */ row, /** @type {number} */ column) => (row === u && column === v ? "here" : "");
      const like = (/** @type {number} */ value) => number(value, 1); // one precision in both grids; the text has two places
      filter.show(now.filter, here, 0, like);
      products.show(factors(now.reduced, now.filter, y, x).map((row) => row.map((pair) => (pair ? pair[0] * pair[1] : 0))), here, 0, like);
      const box = (/** @type {number} */ row, /** @type {number} */ column) => {
        const [[top, bottom], [left, right]] = [binOf(row, k, size), binOf(column, k, size)];
        return around(left, top, right - left, bottom - top);
      };
      const every = [...Array(k * k).keys()].map((i) => box(Math.floor(i / k), i % k)).join("");
      const window = around(x - (k - 1) / 2, y - (k - 1) / 2, k, k);
      for (const { bins, shade, lit } of [scene, project]) {
        [[bins, every], [shade, around(0, 0, size, size) + box(u, v)], [lit, box(u, v)]].forEach(([part, d]) => draw(part, { d }));
      }
      [scene, reduce].forEach(({ frame }) => draw(frame, { d: window }));
      draw(reduce.cell, { d: around(x - (k - 1) / 2 + v, y - (k - 1) / 2 + u, 1, 1) });
      draw(answer.cell, { d: around(x, y, 1, 1) });
      [[which, state.scene], [channels, state.channel], [taps, k]].forEach(([control, value]) => control.show(value));
      const kept = [state.keptTap && "the tap", state.keptCell && "the cell"].filter(Boolean).join(" and ");
      flow.classList.toggle("kept-tap", Boolean(state.keptTap));
      flow.classList.toggle("kept-cell", Boolean(state.keptCell));
      say(hint, kept ? `Kept: ${kept}. Click there again, or press Esc, to let go.` : "A click keeps a tap or a cell while you point elsewhere.");
      const sentences = told(state);
      say(first, sentences.tap);
      say(second, sentences.cell);
    },
    words: (state) => [...Object.values(told(state)), state.keptTap ? "Tap kept." : "", state.keptCell ? "Cell kept." : ""].join(" ").trim(),
    known: ({ scene: one, channel, k, u, v, y, x, keptTap, keptCell }) => [keptTap, keptCell].every((kept) => kept === 0 || kept === 1) && [0, 1].includes(one) && channel in data.channels && [1, 3, 5, 7].includes(k) &&
      [u, v].every((i) => inside(i, k) === i) && [y, x].every((i) => inside(i, size) === i),
  };
});
