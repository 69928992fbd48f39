/**
 * The four scales: a switch, a weight, the filter and the response of each.
 *
 * @import { Answer } from "./engines.js"
 * @import { Grid } from "./numbers.js"
 */
import { make, say } from "./elements.js";
import { distanceOf, SIZES } from "./numbers.js";
import { diverging, paintGrid } from "./paint.js";
import { makePanel } from "./panels.js";
import { signed } from "./point.js";

/** The colours of -1..1 from left to right, for a style sheet. */
const RAMP = `linear-gradient(90deg, ${[...Array(9).keys()].map((i) => `rgb(${diverging(i / 4 - 1).join(", ")})`).join(", ")})`;

export class ScaleCards {
  /** @param {(scale: number, gate: number) => void} change called when the reader moves something */
  constructor(change) {
    /** The weights that the switches return to. */
    this.weights = [1, 1, 1, 1];
    this.change = change;
    this.cards = SIZES.map((k, i) => this.card(k, i));
    /** The filter of 7 by 7, large, between picture and prediction. */
    this.large = makePanel("between");
    this.toggle = make("input", {
      type: "checkbox", role: "switch", "aria-label": "The filter of 7 by 7", onchange: () => this.cards[3].toggle.click(),
    });
    this.limits = ["low", "high"].map((end) => make(`span.${end}`));
    this.large.figure.append(make("div.legend-of-filter", {}, this.limits[0], make("i.ramp", { style: `background: ${RAMP}` }), this.limits[1]),
      make("label.switch", {}, this.toggle, make("span.track"), make("b", {}, "7 × 7")));
    this.element = make(
      "div.scales", { role: "group", "aria-label": "The four scales" }, ...this.cards.map((card) => card.element),
    );
    this.moved = make("span", { hidden: true }, " Changed is how far the filter is from the one made of the picture as it was: the norm of the difference, in per cent of that one's.");
    this.key = make("p.fine.key", {}, "negative ", make("i.ramp", { style: `background: ${RAMP}` }), " positive; white is 0. " +
      "A slider weights what its scale adds; the response is shown before that. " +
      "In each grid the largest number, positive or negative, has the darkest colour: the one under it. " +
      "1 × 1 is a single number, so of one colour. The keys 1, 3, 5, 7 are the switches.", this.moved);
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
   * @param {string} [whose] scene they are of
   */
  show(gates, answer, shown, before, whose = "") {
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
    if (answer) this.moved.hidden = !this.cards.some(({ filter }) => filter.caption.textContent?.includes("changed"));
    this.toggle.checked = gates[3] > 0;
    this.large.figure.classList.toggle("off", gates[3] === 0);
    if (answer) this.showLarge(answer.filters[3], before?.filters[3], shown, whose);
  }

  /**
   * @param {Grid} filter
   * @param {Grid | undefined} before its colours are those of the same numbers
   * @param {string} shown
   * @param {string} whose
   */
  showLarge(filter, before, shown, whose) {
    const most = Math.abs(largest(Float32Array.of(largest(filter.values), largest(before?.values ?? filter.values))));
    say(this.large.caption, `${whose ? "filter" : "its filter"}${whose},\n${shown}`);
    this.limits.forEach((end, i) => say(end, signed(i ? most : -most)));
    this.grid(this.large.canvas, filter, `The filter of 7 by 7 cells, large, ${shown}`, most);
  }

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {Grid} grid
   * @param {string} what
   * @param {number} [most]
   */
  grid(canvas, grid, what, most) {
    paintGrid(canvas, grid, most);
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
