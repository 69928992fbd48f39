/**
 * The 7×7 filters of a scene, edited: mixed with another scene's, flattened, turned, painted. The network's answer follows,
 * for all that comes behind these filters is computed here; what does not depend on them came with the data.
 *
 * @typedef {Record<string, Float32Array>} Net `met` [C, h, w] is what the filters meet, `factor` and `shift` [C] what normalises
 *   their responses, `weigh` [C, O] what joins them to `rest` [O, h, w], `classify` [K, O] and `bias` [K] what names the sum
 */
import { make, makeButton, number, percent, say } from "./elements.js";
import { makeGrid } from "./grids.js";
import { liveFigure, makeChoice, spelled } from "./live.js";
import { inside, labelsOf } from "./maps.js";
import { paintLabels } from "./paint.js";

const [K, TAPS] = [7, 49];
/** @type {Record<string, number>} what a tap is multiplied by */
const TIMES = { 0: 0, 1: 1, 2: 2, "-": -1 };

/** @type {Record<string, string>} */
const BRUSHES = { 0: "× 0", "-": "× −1", 2: "× 2", 1: "× 1" };

/**
 * Return numbers that came as small whole ones, with a step for every entry of the first axis.
 * @param {{values: {shape: number[], text: string}, steps: number[]}} packed
 */
export function spread({ values, steps }) {
  const whole = spelled(values).values;
  return Float32Array.from(whole, (value, i) => value * steps[Math.floor((i * steps.length) / whole.length)]);
}

/**
 * Return the filters, [C, 7, 7], after all that is done to them, in this order: mixed, flattened, turned, painted.
 * @param {Float32Array} both [C, 2, 7, 7]: each channel's own filter, and the other scene's
 * @param {any} state `mix` and `flat` in per cent, `turn` in quarters to the right, `taps` a sign of TIMES for each
 */
export function edited(both, { mix, flat, turn, taps }) {
  const result = new Float32Array(both.length / 2);
  for (let first = 0; first < result.length; first += TAPS) {
    const mixed = Array.from({ length: TAPS }, (_, i) => both[2 * first + i] + (mix / 100) * (both[2 * first + TAPS + i] - both[2 * first + i]));
    const mean = mixed.reduce((sum, value) => sum + value) / TAPS;
    for (let i = 0; i < TAPS; i++) {
      let [y, x] = [Math.floor(i / K), i % K];
      for (let quarter = 0; quarter < turn; quarter++) [y, x] = [K - 1 - x, y];
      result[first + i] = TIMES[taps[i]] * (mixed[y * K + x] + (flat / 100) * (mean - mixed[y * K + x]));
    }
  }
  return result;
}

/**
 * Return the logits, [K, size, size], that the network gives with these filters.
 * @param {Net} net
 * @param {number} size
 * @param {Float32Array} filters [C, 7, 7]
 */
export function answerTo({ met, factor, shift, weigh, rest, classify, bias }, size, filters) {
  const [area, hidden] = [size * size, weigh.length / factor.length];
  const fused = rest.slice();
  factor.forEach((times, c) => {
    for (let i = 0; i < area; i++) {
      const [y, x] = [Math.floor(i / size) - 3, (i % size) - 3];
      let sum = 0;
      for (let u = Math.max(0, -y); u < Math.min(K, size - y); u++) {
        for (let v = Math.max(0, -x); v < Math.min(K, size - x); v++) sum += filters[c * TAPS + u * K + v] * met[c * area + (y + u) * size + x + v];
      }
      const response = times * sum + shift[c];
      if (response > 0) for (let o = 0; o < hidden; o++) fused[o * area + i] += weigh[c * hidden + o] * response;
    }
  });
  const logits = new Float32Array(bias.length * area);
  bias.forEach((start, k) => {
    for (let i = 0; i < area; i++) {
      let sum = start;
      for (let o = 0; o < hidden; o++) if (fused[o * area + i] > 0) sum += classify[k * hidden + o] * fused[o * area + i];
      logits[k * area + i] = sum;
    }
  });
  return logits;
}

export default liveFigure("filters", (data, live) => {
  const net = Object.fromEntries(Object.entries(data.net).map(([name, packed]) => [name, spread(packed)]));
  const { palette, size, grid: cells } = data;
  /** @type {number[][]} x, y and true name of each */
  const coins = data.coins;
  const start = { mix: 0, flat: 0, turn: 0, taps: "1".repeat(TAPS), brush: "0", channel: data.channels[0] };
  /** @type {any} */
  let last = { key: "" };
  /** @param {any} state @returns {any} */
  const found = (state) => {
    const key = `${state.mix} ${state.flat} ${state.turn} ${state.taps}`;
    if (last.key === key) return last;
    const filters = edited(net.filters, state);
    const labels = labelsOf(answerTo(net, cells, filters), [net.bias.length, cells, cells], size, size);
    const said = coins.map(([x, y]) => labels[y * size + x]);
    last = { key, filters, labels, said };
    return last;
  };
  const first = found(start);
  /** How many coins of a kind have their true name, and of how many. */
  const right = (/** @type {number[]} */ said, /** @type {(name: number) => boolean} */ kind) => {
    const asked = coins.map(([, , name], i) => [name, said[i]]).filter(([name]) => kind(name));
    return [asked.filter(([name, now]) => name === now).length, asked.length];
  };
  /** @type {((name: number) => boolean)[]} rubies, jades, all others */
  const kinds = [(name) => name < 3, (name) => name === 3 || name === 4, (name) => name > 4];
  const told = (/** @type {any} */ state) => {
    const { filters, said } = found(state);
    const length = (/** @type {Float32Array} */ values) => Math.hypot(...values);
    const moved = length(filters.map((/** @type {number} */ value, /** @type {number} */ i) => value - first.filters[i])) / length(first.filters);
    const renamed = coins.filter((_, i) => said[i] !== first.said[i]);
    const [was, is] = [first.said, said].map((names) => renamed.filter((coin) => names[coins.indexOf(coin)] === coin[2]).length);
    const [now, before] = [said, first.said].map((names) => kinds.map((kind) => right(names, kind)));
    const [rubies, jades, others] = now.map(([count, all]) => `${count} of ${all}`);
    return `The filters moved by ${percent(moved)} of their norm. Right: rubies ${rubies}, jades ${jades}, others ${others}; ` +
      `with the scene's own filters ${before.map(([count]) => count).join(", ")}. ` +
      `Renamed (ringed): ${renamed.length}${renamed.length ? `; of them ${was} right before, ${is} now` : ""}.`;
  };

  // What is seen.
  const panel = (/** @type {string} */ title, /** @type {HTMLElement[]} */ ...shown) => make("div.panel", {}, make("div.title", {}, title), make("div.map", {}, ...shown));
  const picture = make("img", { src: data.picture, alt: data.alt, draggable: "false" });
  const answer = make("canvas", { role: "img", "aria-label": "answer" });
  const marks = (/** @type {string} */ kind) => [0, 1].map(() => coins.map(([x, y]) => make(`i.${kind}`, { style: `left: ${(100 * x) / size}%; top: ${(100 * y) / size}%` })));
  const [rings, crosses] = [marks("ring"), marks("cross")];
  const at = [0, 0];
  /** What the darkest colour stands for, in every state of a channel: the largest tap that either scene has in it. @param {number} one */
  const limitOf = (one) => Math.max(...net.filters.subarray(2 * one * TAPS, 2 * (one + 1) * TAPS).map(Math.abs));
  const scale = make("div.tints", {}, make("span"), make("i"), make("span"), make("span.beyond", {}, "beyond"));
  const grid = makeGrid("7 × 7 filter", (row, column) => { [at[0], at[1]] = [row, column]; });
  const brush = (/** @type {number} */ row, /** @type {number} */ column) => {
    const taps = [...live.state.taps];
    taps[row * K + column] = live.state.brush;
    if (taps.join("") !== live.state.taps) live.set({ taps: taps.join("") });
  };
  const body = grid.element.querySelector(".grid");
  const [mean, brushed] = [make("div.brushed"), make("div.brushed")];
  grid.element.append(mean, brushed, scale);
  const paint = (/** @type {PointerEvent} */ { buttons, clientX, clientY }) => {
    const box = body.getBoundingClientRect();
    if (buttons & 1) brush(inside(((clientY - box.top) / box.height) * K - 0.5, K), inside(((clientX - box.left) / box.width) * K - 0.5, K));
  };
  body.addEventListener("pointerdown", paint);
  body.addEventListener("pointermove", paint);
  body.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== " " && event.key !== "Enter") return;
    brush(at[0], at[1]);
    event.preventDefault();
  });

  // What is done.
  const slider = (/** @type {"mix" | "flat"} */ name, /** @type {string} */ text, /** @type {HTMLElement[]} */ ...more) => {
    const input = make("input", { type: "range", min: 0, max: 100, "aria-label": text, oninput: () => live.set({ [name]: Number(input.value) }) });
    const value = make("output");
    const show = (/** @type {number} */ now) => {
      input.value = String(now);
      say(value, `${now} %`);
    };
    return { element: make("label.slide", {}, make("span", {}, text, ...more), input, value), show };
  };
  const [mix, flat] = [slider("mix", "mixed with another scene's", make("img", { src: data.lender, alt: "the other scene" })), slider("flat", "flattened: only their means stay")];
  const turn = makeChoice("turned by", [0, 90, 180, 270].map((angle, i) => [String(i), `${angle}°`]), (value) => live.set({ turn: Number(value) }));
  const factor = makeChoice("brush", ["0", "-", "2", "1"].map((sign) => [sign, BRUSHES[sign]]), (value) => live.set({ brush: value }));
  const channel = makeChoice("channel", data.channels.map((/** @type {number} */ one) => [String(one), String(one)]), (value) => live.set({ channel: Number(value) }));
  const reset = makeButton("Reset", () => live.set(start), "Everything as it was");
  const verdict = make("p.sum");
  const legend = data.names.slice(1).map((/** @type {string} */ name, /** @type {number} */ i) => make("span.key", { style: `--class: rgb(${palette[i + 1]})` }, name));

  return {
    start,
    elements: [
      make("p.ask", {}, "Change the filters: ", make("b", {}, "which coins get another name?"), " In this order: mixed, flattened, turned, painted."),
      make("div.three", {}, panel("scene", picture, ...rings[0], ...crosses[0]), panel("answer", answer, ...rings[1], ...crosses[1]), grid.element),
      make("p.hint", {}, ...legend, make("span.key.of-cross", {}, " a coin named wrongly")), make("div.slides", {}, mix.element, flat.element), verdict, make("div.controls", {}, turn.element, factor.element, reset, channel.element),
    ],
    draw: (state) => {
      const { filters, labels, said } = found(state);
      const rows = Array.from({ length: K }, (_, y) => [...filters.subarray(state.channel * TAPS + y * K, state.channel * TAPS + (y + 1) * K)]);
      const limit = limitOf(state.channel);
      const kind = (/** @type {number} */ y, /** @type {number} */ x) => `${state.taps[y * K + x] === "1" ? "" : "off"} ${Math.abs(rows[y][x]) > limit + 1e-6 ? "beyond" : ""}`;
      grid.show(rows, kind, limit, (value) => value.toFixed(1).replace("-0.0", "0.0").replace("-", "−"));
      say(mean, `Mean of the taps: ${number(rows.flat().reduce((sum, tap) => sum + tap) / TAPS)}`);
      [-1, 1].forEach((sign) => say(scale.children[sign + 1], number(sign * limit)));
      paintLabels(answer, labels, size, size, palette);
      rings.forEach((all) => all.forEach((/** @type {HTMLElement} */ ring, /** @type {number} */ i) => { ring.hidden = said[i] === first.said[i]; }));
      crosses.forEach((all) => all.forEach((/** @type {HTMLElement} */ cross, /** @type {number} */ i) => { cross.hidden = said[i] === coins[i][2]; }));
      say(brushed, `Paint: drag over the taps (brush: ${BRUSHES[state.brush]})`);
      [[mix, state.mix], [flat, state.flat], [turn, state.turn], [factor, state.brush], [channel, state.channel]].forEach(([control, value]) => control.show(value));
      say(verdict, told(state));
    },
    words: told,
    known: ({ mix: one, flat: two, turn: quarters, taps, brush: sign, channel: shown }) => [one, two].every((value) => value >= 0 && value <= 100) &&
      [0, 1, 2, 3].includes(quarters) && /^[-012]{49}$/.test(taps) && sign in TIMES && data.channels.includes(shown),
  };
});
