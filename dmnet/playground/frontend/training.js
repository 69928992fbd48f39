/**
 * A run of training: one slider moves loss, scores, two predictions and a filter; and a schedule that is dragged.
 *
 * @typedef {object} Run
 * @property {number} channel of the filter
 * @property {number[]} loss of every step
 * @property {Record<string, (number | null)[]>} scores mIoU, gem and quilt at every look
 * @property {number[][]} right share of the objects' pixels, for each scene at every look
 * @property {string} said a picture: the labels of both scenes at every look, one below the other
 * @property {{shape: number[], text: string}} filters [looks, scenes, k, k], in steps
 * @property {number} step
 *
 * @typedef {{rate: number, final: number, power: number, warmup: number}} Schedule
 */
import { acrossOf, makeChart, titled, unkeyed } from "./charts.js";
import { make, makeButton, number, percent, say } from "./elements.js";
import { liveFigure, makeChoice, makeLegend, spelled } from "./live.js";
import { paintGrid } from "./paint.js";
import { makeScrub } from "./scrub.js";
import { draw } from "./shapes.js";

const MEAN = 20; // steps that the loss is averaged over
const QUILTS = ["warm", "cool"];
const WAIT = "The other runs are being loaded.";

const sum = (/** @type {ArrayLike<number>} */ values) => Array.from(values).reduce((a, b) => a + b, 0);

/**
 * Return the learning rate of every step by the poly rule.
 * @param {Schedule} schedule
 * @param {number} total steps
 */
export const ratesOf = ({ rate, final, power, warmup }, total) => Array.from({ length: total }, (_, step) =>
  ((rate - final) * (1 - step / total) ** power + final) * (warmup ? Math.min((step + 1) / warmup, 1) : 1));

/**
 * Return the mean of each so many neighbours.
 * @param {number[]} values
 * @param {number} count
 */
export const rolling = (values, count) => values.slice(count - 1).map((_, i) => sum(values.slice(i, i + count)) / count);

/**
 * Return a run with its filters as numbers, and what is computed of it once.
 * @param {Run} run
 * @param {() => void} shown what to do when its labels are there
 */
function prepared(run, shown) {
  const { shape: [looks, , k], values } = spelled(run.filters);
  const part = (/** @type {number} */ at) => Float32Array.from(values.subarray(at * k * k, (at + 1) * k * k), (one) => one * run.step);
  const filters = Array.from({ length: looks }, (_, look) => QUILTS.map((_quilt, s) => part(2 * look + s)));
  const image = make("img", { src: run.said, onload: shown });
  return { ...run, k, filters, image, mean: rolling(run.loss, MEAN), taps: QUILTS.map((_, s) => filters.map((both) => sum(both[s]) / k ** 2)),
    most: Math.max(...values.map(Math.abs)) * run.step };
}

export default liveFigure("training", (data, live) => {
  /** @type {{looks: number[], seeds: number[], recipe: Schedule}} */
  const { looks, seeds, recipe } = data;
  const total = looks[looks.length - 1];
  const start = { seed: seeds[0], look: 0, rate: recipe.rate, power: recipe.power, warmup: recipe.warmup };
  const own = ratesOf(recipe, total);
  let dragged = { key: "", rates: own };
  const yours = (/** @type {any} */ { rate, power, warmup }) => {
    const key = `${rate} ${power} ${warmup}`;
    if (dragged.key !== key) dragged = { key, rates: ratesOf({ ...recipe, rate, power, warmup }, total) };
    return dragged.rates;
  };
  /** @type {Record<string, any>} by seed */
  const runs = {};
  const take = (/** @type {Record<string, Run>} */ more) => Object.entries(more).forEach(([seed, run]) => {
    runs[seed] = prepared(run, () => paint(live.state));
  });
  let note = "";
  const load = () => {
    note = WAIT;
    live.later().then(take).catch(() => { note = "The other runs could not be loaded."; }).finally(() => live.set({}));
  };

  // The charts, one below the other, and below them the slider that is their axis.
  const across = acrossOf(total);
  const charts = { loss: makeChart(22, 62, across, ["each", "loss"]), scores: makeChart(118, 76, across, ["miou", "gem", "quilt"]),
    taps: makeChart(228, 54, across, QUILTS), rates: makeChart(316, 54, across, ["miou", "dragged"]) };
  charts.scores.scale(0, 1, (value) => `${100 * value}`);
  charts.rates.scale(0, 2 * recipe.rate, (value) => number(value, 3));
  charts.rates.plot(0, own, (i) => i + 1);
  const cursor = draw("line", { class: "cursor", y1: 16, y2: 372 });
  const axis = [["0", 0, "start"], ["iterations", total / 2, "middle"], [String(total), total, "end"]].map(([text, step, anchor]) =>
    draw("text", { x: across(Number(step)), y: 385, "text-anchor": anchor }, String(text)));
  const svg = draw("svg", { viewBox: "0 0 360 388", "aria-hidden": "true" }, cursor, ...Object.values(charts).flatMap(({ parts }) => parts), ...axis);
  const follow = (/** @type {PointerEvent} */ { type, buttons, clientX }) => {
    const { left, width } = svg.getBoundingClientRect();
    const away = looks.map((look) => Math.abs(across(look) - (360 * (clientX - left)) / width));
    if (buttons & 1 || type === "click") live.set({ look: away.indexOf(Math.min(...away)) });
  };
  let before = 0;
  svg.addEventListener("pointerdown", () => { before = live.state.look; });
  svg.addEventListener("pointercancel", () => live.set({ look: before })); // the finger scrolls the page
  svg.addEventListener("pointermove", follow);
  svg.addEventListener("click", follow);
  const slider = make("input", { type: "range", min: 0, max: looks.length - 1, "aria-label": "Iteration", style: `--first: ${across(looks[0]) / 3.6}%`,
    oninput: () => live.set({ look: Number(slider.value) }) });

  // Both scenes, the labels of each, what the network says, and its filter.
  const tile = (/** @type {string} */ title, /** @type {any} */ shown) => {
    const name = make("div.title", {}, title);
    return { name, shown, element: make("div.panel", {}, name, make("div.map", {}, shown)) };
  };
  const rows = QUILTS.map((quilt, s) => [
    tile(`${quilt} quilt`, make("img", { src: data.pictures[s], alt: `Jewellery on a ${quilt} quilt` })),
    tile("labels", make("img", { src: data.truths[s], alt: "Its true labels" })),
    tile("", make("canvas", { role: "img" })), tile("", make("canvas", { role: "img" }))]);

  const which = makeChoice("seed", seeds.map((seed) => [String(seed), String(seed)]), (seed) => {
    if (!(seed in runs) && note !== WAIT) load();
    live.set({ seed: Number(seed) });
  });
  const reset = makeButton("Reset", () => live.set(start), "The first look, the recipe's schedule");
  const scrub = (/** @type {string} */ label, /** @type {string} */ key, /** @type {number} */ min, /** @type {number} */ max, /** @type {number} */ step) =>
    makeScrub(label, { min, max, step }, (value) => live.set({ [key]: Number(value.toFixed(2)) }));
  const [rate, power, warmup] = [scrub("base rate", "rate", 0.01, 2 * recipe.rate, 0.01), scrub("power", "power", 0.1, 4, 0.1), scrub("warm-up", "warmup", 0, total / 2, 10)];
  const [told, size, command] = [make("p.hint"), make("span"), make("code")];

  const signed = (/** @type {number} */ value) => `${value > 0 ? "+" : ""}${number(value)}`;
  const facts = (/** @type {any} */ { seed, look, ...schedule }) => {
    const { mean, scores, taps } = runs[seed];
    const [quilt, gem, miou] = ["quilt", "gem", "mIoU"].map((kind) => percent(scores[kind][look] ?? NaN));
    const [recipes, other] = [own, yours(schedule)].map((rates) => number(rates[looks[look] - 1], 4));
    return {
      loss: `Loss: ${number(mean[looks[look] - MEAN])}, mean of ${MEAN} steps.`, scores: `Right: {quilt}quilt ${quilt}, {gem}gem ${gem}. {miou}mIoU ${miou}.`,
      taps: `Mean of the filter: ${QUILTS.map((name, s) => `{${name}}${name} ${signed(taps[s][look])}`).join(", ")}.`,
      rates: `Learning rate: {miou}${recipes}${other === recipes ? "" : `, {dragged}yours ${other}`}.`,
    };
  };
  const where = (/** @type {any} */ { seed, look }) => (seed in runs ? `Seed ${seed}, after ${looks[look]} of ${total} iterations.` : note);
  const paint = (/** @type {any} */ { seed, look }) => {
    const image = runs[seed]?.image;
    const side = image?.naturalWidth;
    if (!side) return;
    rows.forEach(([, , { shown }], s) => {
      [shown.width, shown.height] = [side, side];
      shown.getContext("2d").drawImage(image, 0, (2 * look + s) * side, side, side, 0, 0, side, side);
    });
  };
  const plot = (/** @type {any} */ run) => {
    const [highest, farthest] = [run.mean, run.taps.flat()].map((values) => Math.ceil(2 * Math.max(...values.map(Math.abs))) / 2);
    charts.loss.scale(0, highest, number);
    charts.loss.plot(0, run.loss, (i) => i + 1);
    charts.loss.plot(1, run.mean, (i) => i + MEAN);
    ["mIoU", "gem", "quilt"].forEach((kind, i) => charts.scores.plot(i, run.scores[kind], (look) => looks[look]));
    charts.taps.scale(-farthest, farthest, number); // each seed's, for each has another filter
    QUILTS.forEach((_, s) => charts.taps.plot(s, run.taps[s], (look) => looks[look]));
  };
  /** @type {any} */
  let plotted;
  /** @type {number[]} */
  let drawn;
  take(data.runs);

  return {
    start,
    elements: [
      make("p.ask", {}, "Slide through the run: ", make("b", {}, "what climbs, what leaps, and what does the filter do meanwhile?")),
      make("div.controls", {}, which.element, reset),
      make("div.two", {}, make("div", {}, svg, slider, told), make("div", {}, make("div.tiles", {}, ...rows.flat().map(({ element }) => element)), makeLegend(data.names, data.palette))),
      make("p.schedule", {}, "Another schedule, to be dragged, dashed in the lowest chart; what is shown stays the recipe's run. The rate decays from the first step, under the warm-up, too: base rate ", rate.element, ", power ", power.element, ", warm-up ", warmup.element, " steps. ", size, command),
    ],
    draw: (state) => {
      const run = runs[state.seed];
      if (!run && !note) load(); // the page's address has asked for it
      which.show(state.seed);
      say(told, run ? `${where(state)} Filters: red +, blue −; darkest ±${number(run.most)}.` : note);
      if (!run) return;
      if (plotted !== run) plot(plotted = run);
      if (drawn !== yours(state)) charts.rates.plot(1, drawn = yours(state), (i) => i + 1);
      [rate.show(state.rate), power.show(state.power), warmup.show(state.warmup)];
      say(size, `The sum of its learning rates is ${percent(sum(drawn) / sum(own))} of the recipe's. What it does, only a run can tell: `);
      say(command, `dmnet train ${data.system} --run mine --seed ${state.seed} --set learning_rate=${state.rate} --set power=${state.power} --set warmup=${state.warmup}`);
      slider.value = String(state.look);
      slider.setAttribute("aria-valuetext", `${looks[state.look]}`);
      draw(cursor, { x1: across(looks[state.look]), x2: across(looks[state.look]) });
      const said = facts(state);
      Object.entries(charts).forEach(([name, { title }]) => titled(title, said[/** @type {keyof typeof charts} */ (name)]));
      rows.forEach(([, , labels, filter], s) => {
        const right = percent(run.right[s][state.look]);
        say(labels.name, `${right} right`);
        labels.shown.ariaLabel = `Predicted labels, ${right} of the objects' pixels right`;
        say(filter.name, `filter ${run.channel}`);
        filter.shown.ariaLabel = `Filter on the ${QUILTS[s]} quilt, mean ${signed(run.taps[s][state.look])}`;
        paintGrid(filter.shown, { values: run.filters[state.look][s], height: run.k, width: run.k }, run.most);
      });
      paint(state);
    },
    words: (state) => unkeyed([where(state), ...(state.seed in runs ? Object.values(facts(state)) : [])].join(" ")),
    known: ({ seed, look, ...now }) => seeds.includes(seed) && look in looks && now.rate > 0 && now.rate <= 2 * recipe.rate && now.power > 0 && now.power <= 4 &&
      now.warmup >= 0 && now.warmup <= total / 2,
  };
});
