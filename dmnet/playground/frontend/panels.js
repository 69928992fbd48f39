/** Elements of the playground alone, which the live figures need not carry. */
import { make } from "./elements.js";

/**
 * A square of a colour, for a legend.
 * @param {ArrayLike<number>} rgb 0..255
 */
export const makeSwatch = (rgb) => make("i.swatch", { style: `background: rgb(${Array.from(rgb).join(" ")})` });

/**
 * A picture with its caption; the canvas tells its content to who cannot see it.
 * @param {string} text one word: the class of the figure too
 */
export function makePanel(text) {
  const canvas = make("canvas", { role: "img", width: 160, height: 160 });
  const caption = make("div.caption", {}, text);
  return { figure: make(`div.panel.${text}`, {}, make("div.frame", {}, canvas), caption), canvas, caption };
}

/**
 * Whether the page is dark around an element.
 * @param {Element} element
 */
export function isDark(element) {
  const [r, g, b] = (getComputedStyle(element).color.match(/[\d.]+/g) ?? []).map(Number);
  return r + g + b > 384; // the ink is light
}
