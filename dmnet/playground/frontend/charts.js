/**
 * Small charts over the steps of a run, one below the other in a drawing 360 wide.
 */
import { draw } from "./shapes.js";

const [LEFT, RIGHT] = [36, 346];
const KEY = /\{(\w+)\}/g; // in a title, before what it says of the line of this class
const DASHED = ["gem", "cool", "dragged"]; // as in the style sheet

/**
 * Return what says where a step stands.
 * @param {number} total
 * @returns {(step: number) => number}
 */
export const acrossOf = (total) => (step) => LEFT + ((RIGHT - LEFT) * step) / total;

/**
 * Set a chart's title, with a dash of its line's colour for each key, or two where the line is dashed.
 * @param {SVGElement} title
 * @param {string} text e.g. "Right: {plus}quilt 52 %"
 */
export const titled = (title, text) => title.replaceChildren(...text.split(KEY).map((part, i) => (i % 2 ? draw("tspan", { class: part }, DASHED.includes(part) ? "- - " : "— ") : part)));

/**
 * Return such a text without its keys.
 * @param {string} text
 */
export const unkeyed = (text) => text.replace(KEY, "");

/**
 * A chart with three levels, and a line of each kind.
 * @param {number} top
 * @param {number} height
 * @param {(step: number) => number} across
 * @param {string[]} kinds
 */
export function makeChart(top, height, across, kinds) {
  let [low, high] = [0, 1];
  const up = (/** @type {number} */ value) => top + height - (height * (value - low)) / (high - low);
  const title = draw("text", { class: "name", x: 0, y: top - 10 });
  const levels = [0, 0.5, 1].map((part) => [top + height * (1 - part), draw("text", { x: LEFT - 4, y: top + height * (1 - part) + 4, "text-anchor": "end" })]);
  const lines = kinds.map((kind) => draw("polyline", { class: kind }));
  const scale = (/** @type {number} */ from, /** @type {number} */ to, /** @type {(value: number) => string} */ text) => {
    [low, high] = [from, to];
    levels.forEach(([, name], i) => Object.assign(name, { textContent: text(low + ((high - low) * i) / 2) }));
  };
  const plot = (/** @type {number} */ i, /** @type {(number | null)[]} */ values, /** @type {(i: number) => number} */ step) =>
    draw(lines[i], { points: values.flatMap((value, j) => (value === null ? [] : `${across(step(j)).toFixed(1)},${up(Math.min(value, high)).toFixed(1)}`)).join(" ") });
  const rules = levels.map(([y]) => draw("line", { x1: LEFT, x2: RIGHT, y1: y, y2: y }));
  return { title, scale, plot, parts: [title, ...rules, ...levels.map(([, name]) => /** @type {SVGElement} */ (name)), ...lines] };
}
