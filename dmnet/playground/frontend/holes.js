/**
 * Seven digits, two layers: what becomes of a strided network when its stride is taken away and its second layer dilated.
 */
import { make, makeButton, number, say } from "./elements.js";
import { makeGrid } from "./grids.js";
import { liveFigure, makeChoice } from "./live.js";
import { makeScrub } from "./scrub.js";
import { draw } from "./shapes.js";

const SIDES = ["left", "middle", "right"];

/**
 * Return a convolution with three weights; beyond the ends there are zeros.
 * @param {number[]} line
 * @param {number[]} weights
 * @param {number} stride
 * @param {number} dilation
 */
export const convolve = (line, weights, stride, dilation) => Array.from({ length: Math.ceil(line.length / stride) }, (_, i) =>
  weights.reduce((sum, weight, u) => sum + weight * (line[i * stride + dilation * (u - 1)] ?? 0), 0));

/**
 * Return both networks: what each layer gives, and how many places lie between two of its numbers and between what it reads.
 * @param {any} state
 */
export function networks({ digits, left, middle, right, stride, dilation }) {
  const [pixels, weights] = [Array.from(digits, Number), [left, middle, right]];
  const net = (/** @type {number} */ s, /** @type {number} */ d) => {
    const first = convolve(pixels, weights, s, 1);
    return { layers: [pixels, first, convolve(first, weights, 1, d)], apart: [1, s, s], reads: [0, 1, s * d] };
  };
  return { old: net(stride, 1), dense: net(1, dilation), weights };
}

/**
 * Return which places of the layers below a number reads, layer by layer; the last entry is its own.
 * @param {{layers: number[][], reads: number[]}} net
 * @param {number} layer
 * @param {number} place
 */
export function readBy({ layers: [{ length }], reads }, layer, place) {
  const found = [[place]];
  for (let below = layer; below > 0; below--) {
    const all = found[0].flatMap((at) => [-1, 0, 1].map((u) => at + u * reads[below]));
    found.unshift([...new Set(all)].filter((at) => at >= 0 && at < length));
  }
  return found;
}

/** @param {number} value */
const inBrackets = (value) => (value < 0 ? `(${number(value)})` : number(value));

export default liveFigure("holes", (data, live) => {
  const [count, start] = [data.digits.length, { digits: data.digits.join(""), left: 1, middle: 1, right: 1, stride: 2, dilation: 1, net: "dense", layer: 2, place: 2 }];
  const pointed = (/** @type {any} */ state) => {
    const found = networks(state);
    const net = state.net === "old" ? found.old : found.dense;
    const place = state.place - (state.place % net.apart[state.layer]);
    const back = found.old.layers[2].map((value, i) => value === found.dense.layers[2][i * state.stride]);
    return { ...found, net, place, read: readBy(net, state.layer, place), back };
  };
  const told = (/** @type {any} */ state) => {
    const { net, place, read, weights, back } = pointed(state);
    const { layer, stride, dilation } = state;
    const value = (/** @type {number} */ of, /** @type {number} */ at) => net.layers[of][at / net.apart[of]];
    const terms = weights.map((weight, u) => [weight, value(layer - 1, place + (u - 1) * net.reads[layer])]).filter(([, one]) => one !== undefined);
    const which = `Layer ${layer}, place ${place}, ${state.net === "old" ? `with stride ${stride}` : "without the stride"}`;
    const sum = terms.map(([weight, one]) => `${inBrackets(weight)}·${inBrackets(one)}`).join(" + ");
    const all = new Set([-1, 0, 1].flatMap((u) => [-1, 0, 1].map((v) => u * net.reads[2] + v))).size;
    const cut = read[0].length < all ? `; of these, ${read[0].length} lie within the ends` : "";
    const reach = layer > 1 ? ` Such a unit sees ${all} pixels${cut}.` : "";
    return [
      `${which}: ${sum}${terms.length < 3 ? " + zeros beyond the end" : ""} = ${number(value(layer, place))}.${reach}`,
      `With dilation ${dilation}, ${back.filter(Boolean).length} of the ${back.length} numbers of the network with stride ${stride} stand in their places${back.every(Boolean) ? ": all are back" : "; a bar marks where not"}.`,
    ];
  };

  // Two networks, each three rows with the lines between them.
  const edit = (/** @type {number} */ _, /** @type {number} */ column, /** @type {number} */ digit) => {
    const digits = [...live.state.digits];
    digits[column] = String(digit);
    live.set({ digits: digits.join("") });
  };
  const column = (/** @type {"old" | "dense"} */ net) => {
    const rows = ["pixels", "layer 1", "layer 2"].map((title, layer) => makeGrid(title, (_, i) => {
      const place = i * networks(live.state)[net].apart[layer];
      if (layer && (live.state.net !== net || live.state.layer !== layer || live.state.place !== place)) live.set({ net, layer, place });
    }, layer ? undefined : edit, (_, i) => `place ${i * networks(live.state)[net].apart[layer]}`));
    const places = make("div.panel", { "aria-hidden": "true" }, make("div.title", {}, "place"),
      make("div.places", {}, ...Array.from({ length: count }, (_, i) => make("span", {}, String(i)))));
    const lines = [0, 1].map(() => draw("path", {}));
    const drawn = lines.map((line) => draw("svg", { viewBox: `0 0 ${count} 1`, preserveAspectRatio: "none", "aria-hidden": "true" }, line));
    const title = make("div.title");
    return { rows, lines, title, element: make("div.net", { role: "group" }, title, places, rows[0].element, drawn[0], rows[1].element, drawn[1], rows[2].element) };
  };
  const columns = { old: column("old"), dense: column("dense") };
  const weights = SIDES.map((side) => makeScrub(`weight, ${side}`, { min: -3, max: 3, step: 1 }, (value) => live.set({ [side]: value })));
  const [stride, dilation] = ["stride", "dilation"].map((name) => makeChoice(name === "stride" ? "stride that was there" : "dilation of layer 2 now",
    ["1", "2", "3"].map((one) => [one, one]), (value) => live.set({ [name]: Number(value) })));
  const reset = makeButton("Reset", () => live.set(start), "Everything as it was");
  const [sum, verdict] = [make("p.sum"), make("p.verdict")];

  return {
    start,
    elements: [
      make("p.ask", {}, "The stride is gone: ", make("b", {}, "which dilation brings the old numbers back?")),
      make("p.hint", {}, "Both layers add up ", weights[0].element, " · left, ", weights[1].element, " · itself and ", weights[2].element, " · right. Drag a weight or a digit sideways; point at a number."),
      make("div.controls", {}, stride.element, dilation.element, reset), verdict,
      make("div.nets", {}, columns.old.element, columns.dense.element), sum,
    ],
    draw: (state) => {
      const { old, dense, net: chosen, place, read, back } = pointed(state);
      for (const [name, net] of /** @type {["old" | "dense", typeof old][]} */ ([["old", old], ["dense", dense]])) {
        const { rows, lines, title, element } = columns[name];
        const text = name === "old" ? `with stride ${state.stride}` : `without the stride, dilation ${state.dilation}`;
        say(title, text);
        element.setAttribute("aria-label", text);
        const lit = (/** @type {number} */ layer, /** @type {number} */ at) => net === chosen && (read[layer] ?? []).includes(at);
        rows.forEach((row, layer) => {
          row.element.style.setProperty("--apart", net.apart[layer]);
          row.show([net.layers[layer]], (_, i) => {
            const at = i * net.apart[layer];
            const compared = layer === 2 && at % state.stride === 0; // in both networks, place by place
            const here = lit(layer, at) ? (layer === state.layer && at === place ? "here" : "lit") : "";
            return `${here} ${compared ? (back[at / state.stride] ? "back" : "off") : ""}`;
          });
        });
        lines.forEach((line, below) => {
          const ends = (read[below + 1] ?? []).flatMap((at) => [-1, 0, 1].map((u) => [at, at + u * net.reads[below + 1]]));
          const path = ends.filter(([at, to]) => lit(below + 1, at) && lit(below, to)).map(([at, to]) => `M${to + 0.5} 0L${at + 0.5} 1`);
          draw(line, { d: path.join("") });
        });
      }
      [...SIDES.map((side, i) => [weights[i], state[side]]), [stride, state.stride], [dilation, state.dilation]].forEach(([control, value]) => control.show(value));
      told(state).forEach((text, i) => say([sum, verdict][i], text));
      verdict.classList.toggle("done", back.every(Boolean));
    },
    words: (state) => told(state).join(" "),
    known: ({ digits, left, middle, right, stride: s, dilation: d, net, layer, place }) => digits.length === count && /^\d+$/.test(digits) && net in columns &&
      [left, middle, right].every((weight) => Number.isInteger(weight) && Math.abs(weight) <= 3) && [s, d].every((one) => [1, 2, 3].includes(one)) &&
      [1, 2].includes(layer) && Number.isInteger(place) && place >= 0 && place < count,
  };
});
