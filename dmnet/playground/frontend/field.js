/**
 * The receptive field of a unit: the reader points at the picture, and takes strides away; dilation repairs it, or does not.
 *
 * @typedef {object} Layer one that looks at neighbours
 * @property {number} level which map it ends at: 0 the max-pool's, 1 to 4 those of the stages
 * @property {number} k
 * @property {number} s stride
 * @property {number} d dilation
 */
import { make, makeButton, say } from "./elements.js";
import { ARROWS, liveFigure, makeChoice } from "./live.js";
import { inside } from "./maps.js";

const MAPS = ["max-pool", "stage 1", "stage 2", "stage 3", "stage 4"];

/**
 * Return the layers of a ResNet, some of whose strides are taken away. By the rule "repaired" what comes behind gets the
 * dilation instead; by "early" the layer that had the stride does so too; by "dropped" none does.
 * @param {number[][]} plain level, kernel size and stride of every layer
 * @param {string} strides of the stages 2 to 4, as "211"
 * @param {string} rule
 * @returns {Layer[]}
 */
export function layersOf(plain, strides, rule) {
  let [old, now] = [1, 1]; // the dilation of the stage before, and of this one
  return plain.map(([level, k, stride], i) => {
    const first = level > 1 && plain[i - 1][0] < level;
    if (first) [old, now] = [now, strides[level - 2] === "1" && rule !== "dropped" ? now * stride : now];
    return { level, k, s: first ? Number(strides[level - 2]) : stride, d: first && rule !== "early" ? old : now };
  });
}

/**
 * Return of every map its jump, the side of what its units see, and the last dilation, in pixels.
 * @param {Layer[]} layers
 */
export function walk(layers) {
  let [r, j] = [1, 1];
  /** @type {{r: number, j: number, d: number}[]} */
  const maps = [];
  for (const { level, k, s, d } of layers) {
    [r, j] = [r + (k - 1) * d * j, s * j];
    maps[level] = { r, j, d };
  }
  return maps;
}

/**
 * Return along how many paths a unit reads each cell of an earlier map, along one axis. Beyond the ends there are zeros.
 * @param {Layer[]} layers
 * @param {number} from the unit's map
 * @param {number} unit its number
 * @param {number} to the earlier map; -1 are the pixels
 * @param {number} size of the picture
 */
export function pathsTo(layers, from, unit, to, size) {
  const between = layers.filter(({ level }) => level > to && level <= from);
  const lengths = [layers.filter(({ level }) => level <= to).reduce((length, { s }) => Math.ceil(length / s), size)];
  between.forEach(({ s }) => lengths.push(Math.ceil(lengths[lengths.length - 1] / s)));
  let counts = new Float64Array(lengths[between.length]);
  counts[unit] = 1;
  for (let i = between.length - 1; i >= 0; i--) {
    const { k, s, d } = between[i];
    const before = new Float64Array(lengths[i]);
    counts.forEach((count, at) => {
      for (let u = 0; count && u < k; u++) {
        const place = at * s + d * (u - (k - 1) / 2);
        if (place >= 0 && place < before.length) before[place] += count;
      }
    });
    counts = before;
  }
  return counts;
}

/**
 * Return how many cells of one axis are read, and how many there are from the first to the last of them.
 * @param {Float64Array} counts
 */
export function reachOf(counts) {
  const read = [...counts.keys()].filter((i) => counts[i]);
  return { read: read.length, span: read[read.length - 1] - read[0] + 1 };
}

export default liveFigure("field", (data, live) => {
  const { layers: plain, size } = data;
  const start = { x: size / 2, y: size / 2, map: 4, on: 3, strides: "222", rule: "repaired" };
  const found = (/** @type {any} */ { x, y, map, on, strides, rule }) => {
    const layers = layersOf(plain, strides, rule);
    const maps = walk(layers);
    const [j, to] = [maps[map].j, Math.min(on, map - 1)];
    const [across, down] = [x, y].map((place) => Math.min(Math.round(place / j), Math.ceil(size / j) - 1));
    const counts = [across, down].map((unit) => pathsTo(layers, map, unit, to, size));
    return { maps, to, at: [across * j, down * j], jump: to < 0 ? 1 : maps[to].j, counts, reach: counts.map(reachOf) };
  };
  const told = (/** @type {any} */ state) => {
    const { maps, to, reach: [across, down], at } = found(state);
    const { r } = maps[state.map];
    const [wide, high] = at.map((place) => Math.min(size - 1, place + (r - 1) / 2) - Math.max(0, place - (r - 1) / 2) + 1);
    const cut = Math.min(wide, high) < r ? `, of which ${wide} × ${high} lie in the picture` : "";
    const seen = `Output stride ${maps[4].j}. A unit of ${MAPS[state.map]} sees ${r} × ${r} pixels${cut}. It reads ${across.read} × ${down.read}`;
    const [of, end] = across.read < across.span || down.read < down.span ? [` of ${across.span} × ${down.span}`, ": there are holes."] : ["", ", without holes."];
    return `${seen}${of} ${to < 0 ? "pixels" : `cells of ${MAPS[to]}`}${end}`;
  };

  const cells = make("canvas", { "aria-hidden": "true" });
  const frames = MAPS.map((name) => make("div.framed", {}, make("span", {}, name)));
  const scene = make("div.scene", { tabindex: 0, role: "application", "aria-label": "The unit: arrow keys move it" },
    make("img", { src: data.picture, alt: data.alt, draggable: "false" }), cells, ...frames);
  const point = (/** @type {PointerEvent} */ { clientX, clientY }) => {
    const box = scene.getBoundingClientRect();
    live.set({ x: inside(((clientX - box.left) / box.width) * size, size), y: inside(((clientY - box.top) / box.height) * size, size) });
  };
  scene.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => event.buttons && point(event));
  scene.addEventListener("click", point);
  scene.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    const [down, right] = ARROWS[event.key] ?? [0, 0];
    if (!down && !right) return;
    const { at: [x, y], maps } = found(live.state);
    const step = maps[live.state.map].j;
    live.set({ x: inside(x + right * step, size), y: inside(y + down * step, size) });
    event.preventDefault();
  });

  const name = `field-${Math.random().toString(36).slice(2)}`;
  const rows = MAPS.map((title, map) => {
    const radio = make("input", { type: "radio", name, onchange: () => live.set({ map }) });
    const box = map < 2 ? null : make("input", { type: "checkbox", role: "switch", "aria-label": `Stride 2 in ${title}`, onchange: () => {
      const strides = [...live.state.strides];
      strides[map - 2] = box.checked ? "2" : "1";
      live.set({ strides: strides.join("") });
    } });
    const values = [make("td"), make("td"), make("td")];
    const now = make("span");
    const stride = make("td", {}, ...(box ? [make("label", {}, box, now)] : [map ? "1" : "4"]));
    return { radio, box, now, values, element: make("tr", {}, make("th", { scope: "row" }, make("label", {}, radio, title)), stride, ...values) };
  });
  const head = make("tr", {}, ...["a unit of", "stride", "dilation", "jump", "sees"].map((text) => make("th", { scope: "col" }, text)));
  const rule = makeChoice("a stride that is gone is", [["repaired", "repaired by dilation"], ["early", "one layer too early"], ["dropped", "not repaired"]],
    (value) => live.set({ rule: value }));
  const on = makeChoice("what it reads of", [["-1", "the pixels"], ...MAPS.slice(0, 4).map((title, i) => /** @type {[string, string]} */ ([String(i), title]))],
    (value) => live.set({ on: Number(value) }));
  const reset = makeButton("Reset", () => live.set(start), "Everything as it was");
  const [sum, key] = [make("p.sum"), make("p.hint", {}, "Read along ", make("i.tint", { "aria-hidden": "true" }), " few to many paths; dark: not read. Dashed: what units of earlier maps see.")];

  return {
    start,
    elements: [
      make("p.ask", {}, "Click on the picture, or drag: ", make("b", {}, "what does the unit there see?"), " Then take strides away: ", make("b", {}, "where are holes?")),
      make("div.two", {}, scene, make("div", {}, make("table", {}, head, ...rows.map(({ element }) => element)), sum, key)),
      make("div.controls", {}, on.element, rule.element, reset),
    ],
    draw: (state) => {
      const { maps, to, at, jump, counts } = found(state);
      const share = (/** @type {number} */ pixels) => `${(100 * pixels) / size}%`;
      maps.forEach(({ r, j, d }, map) => {
        const frame = frames[map];
        [frame.hidden, frame.style.width, frame.style.height] = [map > state.map, share(r), share(r)];
        [frame.style.left, frame.style.top] = at.map((place) => share(place + 0.5 - r / 2));
        frame.classList.toggle("chosen", map === state.map);
        rows[map].radio.checked = map === state.map;
        if (rows[map].box) rows[map].box.checked = state.strides[map - 2] === "2";
        say(rows[map].now, state.strides[map - 2] ?? "");
        rows[map].element.classList.toggle("chosen", map === state.map);
        [d, j, r].forEach((value, i) => say(rows[map].values[i], String(value)));
      });
      paintReads(counts, jump);
      rule.show(state.rule);
      rule.element.disabled = state.strides === start.strides; // none is gone
      on.show(to);
      for (const input of on.element.querySelectorAll("input")) input.disabled = Number(input.value) >= state.map; // a unit reads of what is before it
      say(sum, told(state));
    },
    words: (state) => {
      const { maps } = found(state);
      return `${told(state)} Jump of ${MAPS[state.map]} ${maps[state.map].j}, dilation ${maps[state.map].d}.`;
    },
    known: ({ x, y, map, on: to, strides, rule: by }) => /^[12]{3}$/.test(strides) && ["repaired", "early", "dropped"].includes(by) &&
      [x, y].every((place) => place >= 0 && place < size) && map in MAPS && Number.isInteger(to) && to >= -1 && to < 4,
  };

  /**
   * Darken what is not read, and tint what is by the number of paths.
   * @param {Float64Array[]} counts along both axes
   * @param {number} jump
   */
  function paintReads([across, down], jump) {
    const [width, height] = [across.length, down.length];
    const image = new ImageData(width, height);
    const [wides, highs] = [across, down].map((counts) => {
      const most = Math.max(...counts);
      return counts.map((count) => Math.sqrt(count / most));
    });
    highs.forEach((high, row) => wides.forEach((wide, column) => {
      const i = 4 * (row * width + column);
      const part = wide * high;
      image.data[i] = part && 255;
      image.data[i + 1] = part && 170;
      image.data[i + 3] = part ? 20 + 170 * part : 150;
    }));
    [cells.width, cells.height] = [width, height];
    cells.getContext("2d").putImageData(image, 0, 0);
    [cells.style.width, cells.style.height] = [width, height].map((length) => `${(100 * length * jump) / size}%`);
    cells.style.left = cells.style.top = `${(50 * (1 - jump)) / size}%`; // a cell lies around its middle
  }
});
