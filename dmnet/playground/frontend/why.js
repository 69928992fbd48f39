/**
 * "Ask a pixel why": what the features and each scale add to the two best classes of a pixel.
 *
 * The data hold the dividends of the 16 sets of scales: what a set adds to the logits that no smaller set within it adds.
 * The logits of a set are the sum of its subsets' dividends, and a Shapley value shares each of them out equally.
 *
 * @typedef {object} Dividends
 * @property {number[]} shape sets, classes, height and width; bit 8 of a set's number is the first scale, as dmnet.playground has it
 * @property {Int8Array} values
 * @property {number} step what 1 is worth
 */
import { make, makeButton, percent, say } from "./elements.js";
import { ARROWS, liveFigure, makeChoice, number, spelled, within } from "./live.js";
import { inside, labelsOf, taps } from "./maps.js";
import { paintGrid, paintLabels } from "./paint.js";

const SCALES = [0, 1, 2, 3];
/** @param {number} set whether scale k is in it */
const holds = (set, /** @type {number} */ k) => Boolean(set & (8 >> k));
/** @param {string} on as "1011" */
const setOf = (on) => parseInt(on, 2);

/**
 * Return the sets within a set, and how many scales each has.
 * @param {number} on
 */
const within16 = (on) => [...Array(16).keys()].filter((set) => (set & ~on) === 0)
  .map((set) => ({ set, size: SCALES.filter((k) => holds(set, k)).length }));

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

/**
 * Return what the features (first) and each scale add to every class, [5][classes], read out by `read`.
 * @param {Dividends} dividends
 * @param {number} on
 * @param {(values: Int8Array, first: number) => number} read reads one map of them, which begins there
 */
export function sharesOfLogits({ shape: [, classes, height, width], values, step }, on, read) {
  const shares = [0, ...SCALES].map(() => Array(classes).fill(0));
  for (const { set, size } of within16(on)) {
    for (let c = 0; c < classes; c++) {
      const value = step * read(values, (set * classes + c) * height * width);
      if (!size) shares[0][c] += value;
      else for (const k of SCALES) if (holds(set, k)) shares[k + 1][c] += value / size;
    }
  }
  return shares;
}

/**
 * Return what reads a map at a pixel of the picture: bilinear, as the logits are upsampled.
 * @param {number[]} shape
 * @param {number} size of the picture, which is a square
 */
export function reader([, , height, width], size) {
  const [rows, columns] = [taps(height, size), taps(width, size)];
  return (/** @type {number} */ x, /** @type {number} */ y) => {
    const [above, below, left, right] = [rows.first[y] * width, rows.second[y] * width, columns.first[x], columns.second[x]];
    const [down, across] = [rows.weight[y], columns.weight[x]];
    return (/** @type {ArrayLike<number>} */ map, first = 0) => {
      const line = (/** @type {number} */ row) => map[first + row + left] * (1 - across) + map[first + row + right] * across;
      return line(above) * (1 - down) + line(below) * down;
    };
  };
}

/** @param {number} value */
const signed = (value) => number(value, 1).replace(/^(?=0\.|[1-9])/, "+");
/** @param {number[]} values */
const largest = (values) => values.indexOf(Math.max(...values));

/**
 * Return what the card says of a pixel: its class now, the pair that is compared, and what each part adds to both. The
 * first of the pair is what all scales together say, the second its strongest rival now.
 * @param {Dividends} dividends
 * @param {string} on
 * @param {(values: ArrayLike<number>, first: number) => number} read
 */
export function askedWhy(dividends, on, read) {
  const sum = (/** @type {number[][]} */ shares) => shares[0].map((_, c) => shares.reduce((all, part) => all + part[c], 0));
  const shares = sharesOfLogits(dividends, setOf(on), read);
  const [logits, whole] = [sum(shares), sharesOfLogits(dividends, 15, read)];
  const [best, now] = [largest(sum(whole)), largest(logits)];
  const rival = largest(logits.map((value, c) => (c === best ? -Infinity : value)));
  const confidence = 1 / logits.reduce((all, value) => all + Math.exp(value - logits[now]), 0);
  const pair = [best, rival];
  const limit = Math.max(4, ...whole.flatMap((part) => pair.map((c) => 1.2 * Math.abs(part[c]))));
  return { now, confidence, pair, limit, rows: [...shares, logits].map((part) => pair.map((c) => part[c])) };
}

export default liveFigure("why", (data, live) => {
  const [truth, dividends] = [spelled(data.truth), { ...spelled(data.dividends), step: data.step }];
  const [[, classes, height, width], [size]] = [dividends.shape, truth.shape];
  const [readAt, shape] = [reader(dividends.shape, size), [classes, height, width]];
  const { names, palette, scales, colours } = data;
  const start = { x: data.at[0], y: data.at[1], pinned: 0, on: "1111", maps: "response" };
  const switched = (/** @type {string} */ on, /** @type {number} */ k) => on.slice(0, k) + (on[k] === "1" ? "0" : "1") + on.slice(k + 1);
  const asked = (/** @type {any} */ { x, y, on }) => askedWhy(dividends, on, readAt(x, y));

  // The maps, one crosshair on all of them.
  const panel = (/** @type {string} */ title, /** @type {HTMLElement} */ shown, colour = "") => {
    const caption = make("div.title", {}, title);
    return { caption, element: make("div.panel", { style: colour && `--kind: ${colour}` }, make("div.map", {}, shown), caption) };
  };
  const canvas = (/** @type {string} */ text) => make("canvas", { role: "img", "aria-label": text });
  const [predicted, true_, ...responses] = [canvas("prediction"), canvas("truth"), ...scales.map((/** @type {string} */ k) => canvas(`response of scale ${k}`))];
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
  const boxes = scales.map((/** @type {string} */ k, /** @type {number} */ i) => make("input", {
    type: "checkbox", role: "switch", "aria-label": `Scale ${k}`, onchange: () => live.set({ on: switched(live.state.on, i) }),
  }));
  const rows = ["f", ...scales, "sum"].map((name, i) => {
    const bars = [make("i.best"), make("i.rival")];
    const cells = [make("td"), make("td"), make("td.difference")];
    const label = boxes[i - 1] ? make("label", {}, boxes[i - 1], name) : make("span", {}, name);
    const style = `--kind: ${colours[i - 1] ?? "var(--faint)"}`;
    return { bars, cells, element: make("tr", { style }, make("th", { scope: "row" }, label), make("td.bars", {}, ...(name === "sum" ? [] : bars)), ...cells) };
  });
  const keys = [make("b"), make("b")];
  const head = make("tr", {}, make("td"), make("td"), ...["first", "second", "lead"].map((text) => make("th", { scope: "col" }, text)));
  const [verdict, pin] = [make("p.verdict"), makeButton("", () => live.set({ pinned: 1 - live.state.pinned }), "A pinned pixel stays while you use the switches")];
  const shown = makeChoice("maps", [["response", "response"], ["added", "what it adds"]], (value) => live.set({ maps: value }));
  const reset = makeButton("Reset", () => live.set(start), "Everything as it was");
  const account = make("div.account", {}, verdict,
    make("p.keys", {}, make("span.first", {}, keys[0]), " against ", make("span.second", {}, keys[1])), make("table", {}, head, ...rows.map(({ element }) => element)));
  const whole = make("div.whole", {}, maps, account);
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
      const { pair, limit, rows: parts } = asked(state);
      const { x, y, on, pinned } = state;
      whole.style.setProperty("--x", `${(100 * (x + 0.5)) / size}%`);
      whole.style.setProperty("--y", `${(100 * (y + 0.5)) / size}%`);
      whole.classList.toggle("pinned", Boolean(pinned));
      if (drawn !== on) paintLabels(predicted, labelsOf(logitsWith(dividends, setOf(on)), shape, size, size), size, size, palette);
      drawn = on;
      const wanted = state.maps === "added" ? `${on} ${pair}` : "response";
      if (painted !== wanted) paintMaps(state.maps === "added", on, pair);
      painted = wanted;
      keys.forEach((key, i) => {
        say(key, names[pair[i]]);
        key.style.setProperty("--class", `rgb(${palette[pair[i]]})`);
      });
      rows.forEach(({ bars, cells, element }, i) => {
        const off = on[i - 1] === "0";
        element.classList.toggle("off", off);
        bars.forEach((bar, which) => {
          const part = within(parts[i][which] / limit, -1, 1);
          [bar.style.left, bar.style.width] = [`${50 + 50 * Math.min(0, part)}%`, `${50 * Math.abs(part)}%`];
        });
        [...parts[i], parts[i][0] - parts[i][1]].forEach((value, j) => say(cells[j], off ? "off" : signed(value)));
      });
      boxes.forEach((/** @type {HTMLInputElement} */ box, /** @type {number} */ k) => { box.checked = on[k] === "1"; });
      lower.forEach(({ element }, k) => element.classList.toggle("off", on[k] === "0"));
      say(pin, pinned ? "Let go of the pixel" : "Pin this pixel");
      say(verdict, sentence(state));
      shown.show(state.maps);
    },
    words: (state) => {
      const { pair, rows: parts } = asked(state);
      const added = ["features", ...scales].map((name, i) => (state.on[i - 1] === "0" ? `${name} off` : `${name} ${signed(parts[i][0] - parts[i][1])}`));
      return `Pixel ${state.x}, ${state.y}${state.pinned ? ", pinned" : ""}: ${sentence(state)} For ${names[pair[0]]} against ${names[pair[1]]}: ${added.join(", ")}.`;
    },
    known: ({ x, y, pinned, on, maps: which }) => /^[01]{4}$/.test(on) && [x, y].every((one) => Number.isInteger(one) && inside(one, size) === one) &&
      [0, 1].includes(pinned) && ["response", "added"].includes(which),
  };

  /** @param {boolean} added @param {string} on @param {number[]} pair */
  function paintMaps(added, on, [best, rival]) {
    const area = height * width;
    const grids = SCALES.map((k) => {
      const grid = added ? new Float32Array(area) : Float32Array.from(data.responses[k].flat());
      for (const { set, size: members } of added ? within16(setOf(on)) : []) {
        const [one, other] = [best, rival].map((c) => (set * classes + c) * area);
        if (holds(set, k)) grid.forEach((_, i) => { grid[i] += (dividends.step * (dividends.values[one + i] - dividends.values[other + i])) / members; });
      }
      return grid;
    });
    const most = Math.max(...grids.flatMap((grid) => [...grid].map(Math.abs)));
    responses.forEach((one, k) => paintGrid(one, { values: grids[k], height, width }, added ? most : undefined));
  }
});
