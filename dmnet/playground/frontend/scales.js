/**
 * The four scales: a switch, a weight, the filter and the response of each.
 *
 * @import { Answer } from "./engines.js"
 */
import { make, makePanel, say } from "./elements.js";
import { distanceOf, SIZES } from "./numbers.js";
import { paintGrid, RAMP } from "./paint.js";
import { signed } from "./point.js";

export class ScaleCards {
  /** @param {(scale: number, gate: number) => void} change called when the reader moves something */
  constructor(change) {
    /** The weights that the switches return to. */
    this.weights = [1, 1, 1, 1];
    this.change = change;
    this.cards = SIZES.map((k, i) => this.card(k, i));
    this.element = make(
      "div.scales", { role: "group", "aria-label": "The four scales" }, ...this.cards.map((card) => card.element),
    );
    this.key = make("p.fine.key", {}, "negative ", make("i.ramp", { style: `background: ${RAMP}` }), " positive; white is 0. " +
      "In each grid the largest number, positive or negative, has the darkest colour: the one under it.");
  }

  /**
   * @param {number} k
   * @param {number} i
   */
  card(k, i) {
    const toggle = make("input", {
      type: "checkbox", role: "switch", "aria-label": `Scale ${k} by ${k}`,
      onchange: () => this.change(i, toggle.checked ? this.weights[i] || 1 : 0),
    });
    const slider = make("input", {
      type: "range", min: 0, max: 2, step: 0.05, "aria-label": `Weight of scale ${k} by ${k}`,
      oninput: () => this.change(i, Number(slider.value)),
    });
    const value = make("output");
    const filter = makePanel("filter");
    const response = makePanel("response");
    const title = make("label.switch", {}, toggle, make("span.track"), make("b", {}, `${k} × ${k}`), value);
    const element = make(
      "div.scale", { "data-k": k }, title,
      make("div.grids", {}, filter.figure, response.figure),
      make("label.weight", {}, slider),
    );
    return { element, toggle, slider, value, filter, response };
  }

  /**
   * @param {number[]} gates
   * @param {Answer | null} answer
   * @param {string} shown which channel it is, in words
   * @param {Answer} [before] whose filters these are compared with
   */
  show(gates, answer, shown, before) {
    this.cards.forEach((card, i) => {
      if (gates[i] > 0) this.weights[i] = gates[i];
      card.toggle.checked = gates[i] > 0;
      card.slider.value = String(gates[i]);
      card.slider.setAttribute("aria-valuetext", `${gates[i].toFixed(2)}`);
      say(card.value, gates[i] > 0 ? `× ${gates[i].toFixed(2)}` : "off");
      card.element.classList.toggle("off", gates[i] === 0);
      if (!answer) return;
      const distance = before ? distanceOf(answer.filters[i].values, before.filters[i].values) : 0;
      const [filter, response] = [answer.filters[i], answer.responses[i]].map(({ values }) => signed(largest(values)));
      card.filter.caption.title = "The norm of the change, in per cent of the filter's own";
      say(card.filter.caption, distance < 0.005 ? `filter ${filter}` : `filter ${filter}\nchanged ${Math.round(100 * distance)} %`);
      say(card.response.caption, `response\n${response}`);
      const change = distance < 0.005 ? "" : `, changed by ${Math.round(100 * distance)} per cent`;
      this.grid(card.filter.canvas, answer.filters[i], `Filter of ${SIZES[i]} by ${SIZES[i]} cells, ${shown}${change}`);
      this.grid(card.response.canvas, answer.responses[i], `Response of scale ${SIZES[i]}, ${shown}`);
    });
  }

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {import("./numbers.js").Grid} grid
   * @param {string} what
   */
  grid(canvas, grid, what) {
    paintGrid(canvas, grid);
    const [low, high] = [Math.min(...grid.values), Math.max(...grid.values)];
    canvas.setAttribute("aria-label", `${what}: values from ${low.toPrecision(2)} to ${high.toPrecision(2)}`);
  }
}

/**
 * Return the number that is the farthest from 0.
 * @param {Float32Array} values
 */
function largest(values) {
  return values.reduce((most, value) => (Math.abs(value) > Math.abs(most) ? value : most), 0);
}
