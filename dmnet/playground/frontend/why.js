/**
 * "Ask a pixel why": what the features and each scale add to the two best classes of a pixel.
 *
 * @import { Dividends } from "./account.js"
 */
import { askedWhy, makeAccount, reader, SCALES, setOf, sharesOfLogits, within16, wordsOf } from "./account.js";
import { make, makeButton, number, percent, say } from "./elements.js";
import { ARROWS, liveFigure, makeCanvas, makeChoice, makeLegend, spelled } from "./live.js";
import { inside, labelsOf } from "./maps.js";
import { paintGrid, paintLabels } from "./paint.js";

/**
 * Return the logits, [classes, height, width], with only some scales switched on.
 * @param {Dividends} dividends
 * @param {number} on
 */
export function logitsWith({ shape: [, classes, height, width], values, step }, on) {
  const logits = new Float32Array(classes * height * width);
  for (const { set } of within16(on)) for (let i = 0; i < logits.length; i++) logits[i] += step * values[set * logits.length + i];
  return logits;
}

export default liveFigure("why", (data, live) => {
  const [truth, dividends] = [spelled(data.truth), { ...spelled(data.dividends), step: data.step }];
  const [[, classes, height, width], [size]] = [dividends.shape, truth.shape];
  const [readAt, shape] = [reader(dividends.shape, size, size), [classes, height, width]];
  const { names, palette, scales, colours } = data;
  const start = { x: data.at[0], y: data.at[1], pinned: 0, on: "1111", maps: "response" };
  const switched = (/** @type {string} */ on, /** @type {number} */ k) => on.slice(0, k) + (on[k] === "1" ? "0" : "1") + on.slice(k + 1);
  const asked = (/** @type {any} */ { x, y, on }) => askedWhy(dividends, on, readAt(x, y));

  // The maps, one crosshair on all of them.
  const panel = (/** @type {string} */ title, /** @type {HTMLElement} */ shown, colour = "") => {
    const caption = make("div.title", {}, title);
    return { caption, element: make("div.panel", { style: colour && `--kind: ${colour}` }, make("div.map", {}, shown), caption) };
  };
  const [predicted, true_, ...responses] = [makeCanvas("prediction"), makeCanvas("truth"), ...scales.map((/** @type {string} */ k) => makeCanvas(`response of scale ${k}`))];
  const scene = make("img", { src: data.picture, alt: "Coins with gems on a mosaic", draggable: "false" });
  const tops = [panel("picture", scene), panel("prediction", predicted), panel("truth", true_)];
  const lower = responses.map((one, k) => panel(scales[k], one, colours[k]));
  const maps = make("div.maps", { tabindex: 0, role: "application", "aria-label": "A pixel: arrow keys move it, Enter pins it" },
    make("div.tops", {}, ...tops.map(({ element }) => element)), make("div.lower", {}, ...lower.map(({ element }) => element)));
  const placeOf = (/** @type {PointerEvent} */ { target, clientX, clientY }) => {
    const box = /** @type {Element} */ (target).closest(".map")?.getBoundingClientRect();
    if (!box) return null;
    return { x: inside(((clientX - box.left) / box.width) * size - 0.5, size), y: inside(((clientY - box.top) / box.height) * size - 0.5, size) };
  };
  /** @type {any} what was pinned when a finger or the mouse went down */
  let before = start;
  maps.addEventListener("pointerdown", () => { before = { ...live.state }; });
  maps.addEventListener("pointercancel", () => live.set(before)); // the finger scrolls the page
  maps.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => {
    const place = placeOf(event);
    if (place && (event.buttons || !live.state.pinned)) live.set(place);
  });
  maps.addEventListener("click", (/** @type {PointerEvent} */ event) => {
    const place = placeOf(event);
    const again = place && before.pinned && Math.hypot(place.x - before.x, place.y - before.y) < 4;
    if (place) live.set({ ...place, pinned: again ? 0 : 1 });
  });
  maps.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    const { x, y, pinned } = live.state;
    const [down, right] = (ARROWS[event.key] ?? [0, 0]).map((step) => (event.shiftKey ? step : 4 * step));
    if (down || right) live.set({ x: inside(x + right, size), y: inside(y + down, size) });
    else if (event.key === "Enter" || event.key === " ") live.set({ pinned: 1 - pinned });
    else if (event.key === "Escape") live.set({ pinned: 0 });
    else return;
    event.preventDefault();
  });

  // The card.
  const account = makeAccount(scales, colours, (k) => live.set({ on: switched(live.state.on, k) }));
  const pin = makeButton("", () => live.set({ pinned: 1 - live.state.pinned }), "A pinned pixel stays while you use the switches");
  const shown = makeChoice("maps", [["response", "response"], ["added", "what it adds"]], (value) => live.set({ maps: value }));
  const reset = makeButton("Reset", () => live.set(start), "Everything as it was");
  const note = make("p.hint");
  const whole = make("div.whole", {}, make("div", {}, maps, note, makeLegend(names, palette)), account.element);
  /** @param {any} state */
  const sentence = (state) => {
    const { now, confidence } = asked(state);
    const real = truth.values[state.y * size + state.x];
    return `${names[now]}, ${percent(confidence)} sure. Truth: ${names[real] ?? "void"}.`;
  };
  let [drawn, painted] = ["", ""];
  paintLabels(true_, Uint8Array.from(truth.values), size, size, palette);

  return {
    start,
    elements: [
      make("p.ask", {}, "Point at a pixel: ", make("b", {}, "why does the network call it that?"), " Click to pin it, then switch scales off."),
      whole, make("div.controls", {}, pin, shown.element, reset),
    ],
    draw: (state) => {
      const found = asked(state);
      const { pair } = found;
      const { x, y, on, pinned } = state;
      whole.style.setProperty("--x", `${(100 * (x + 0.5)) / size}%`);
      whole.style.setProperty("--y", `${(100 * (y + 0.5)) / size}%`);
      whole.classList.toggle("pinned", Boolean(pinned));
      if (drawn !== on) paintLabels(predicted, labelsOf(logitsWith(dividends, setOf(on)), shape, size, size), size, size, palette);
      drawn = on;
      const wanted = state.maps === "added" ? `${on} ${pair}` : "response";
      if (painted !== wanted) paintMaps(state.maps === "added", on, pair);
      painted = wanted;
      account.show(found, on, names, palette, sentence(state));
      lower.forEach(({ element }, k) => element.classList.toggle("off", on[k] === "0"));
      say(pin, pinned ? "Let go of the pixel" : "Pin this pixel");
      shown.show(state.maps);
    },
    words: (state) => {
      const pixel = `Pixel ${state.x}, ${state.y}${state.pinned ? ", pinned" : ""}`;
      return `${pixel}: ${sentence(state)} ${wordsOf(asked(state), state.on, scales, names)}`;
    },
    known: ({ x, y, pinned, on, maps: which }) => /^[01]{4}$/.test(on) && [x, y].every((one) => Number.isInteger(one) && inside(one, size) === one) &&
      [0, 1].includes(pinned) && ["response", "added"].includes(which),
  };

  /** What each scale adds to the lead. @param {string} on @param {number[]} pair */
  function addedBy(on, [best, rival]) {
    const grids = SCALES.map(() => new Float32Array(height * width));
    for (let i = 0; i < height * width; i++) {
      const shares = sharesOfLogits(dividends, setOf(on), (map, first) => map[first + i]);
      grids.forEach((grid, k) => { grid[i] = shares[k + 1][best] - shares[k + 1][rival]; });
    }
    return grids;
  }

  /** @param {boolean} added @param {string} on @param {number[]} pair */
  function paintMaps(added, on, pair) {
    const grids = added ? addedBy(on, pair) : SCALES.map((k) => Float32Array.from(spelled(data.responses[k]).values));
    const most = added ? Math.max(...addedBy("1111", pair).flatMap((grid) => [...grid].map(Math.abs))) : 0; // a switch leaves the colours' scale
    say(note, added ? `Red adds to the lead, blue takes from it; darkest: ±${number(most, 1)}.` : "One channel each, the one that varies most; each map has its own scale.");
    responses.forEach((one, k) => paintGrid(one, { values: grids[k], height, width }, most || undefined));
  }
});
