/**
 * The plan of DMNet: every box shows a map and opens, lines are as wide as what is added, an account stands beside it.
 *
 * @typedef {any} Map what is painted: "picture", "labels", "truth", a class whose logits are meant, or a packed map
 */
import { amount, layersOf, NETWORKS, sizesOf, sumOf } from "./cost.js";
import { make, makeButton, number, percent, say } from "./elements.js";
import { liveFigure, makeChoice, spelled } from "./live.js";
import { labelsOf } from "./maps.js";
import { paintGrid, paintLabels } from "./paint.js";
import { makeScrub } from "./scrub.js";
import { draw } from "./shapes.js";

const FIVE = ["f2", "scale0", "scale1", "scale2", "scale3"];
const ROWS = [
  ["stage3", "stages 1–3"], ["f", "stage 4"], ["scale", "modules"], ["convolve", "… convolving"], ["fuse", "fusion"],
  ["classify", "classifier"], ["auxiliary", "auxiliary head"], ["", "all"],
];
/** @param {string} id of a row or a box @param {{part: string, name: string}} layer whether it belongs there */
const belongs = (id, { part, name }) => !id || part === id || name === id || (id === "scale" && part.startsWith(id));
/** @param {string} network the settings it has */
const as = (network) => ({ network, sizes: "1,3,5,7", c: NETWORKS[network].c, stride: NETWORKS[network].stride, side: NETWORKS[network].side });

export default liveFigure("plan", (data, live) => {
  const start = { scene: 0, open: "scale3", class: 1, ...as("demo") };
  const own = sizesOf(start.sizes);
  const { names, palette, scenes } = data;
  /** @param {Map} what @param {any} scene */
  const pictureOf = (what, scene) => {
    if (what === "picture") return make("img", { src: scene.picture, alt: "", draggable: "false" });
    const canvas = make("canvas", { "aria-hidden": "true" });
    const packed = what === "truth" ? scene.truth : typeof what === "object" ? what : scene.logits;
    const [{ shape, values: small }, size] = [spelled(packed), scene.truth.shape[0]];
    const [values, [height, width]] = [Float32Array.from(small), shape.slice(-2)];
    if (what === "labels") paintLabels(canvas, labelsOf(values, shape, size, size), size, size, palette);
    else if (what === "truth") paintLabels(canvas, Uint8Array.from(values), size, size, palette);
    else if (typeof what === "number") paintGrid(canvas, { values: values.slice(what * height * width, (what + 1) * height * width), height, width });
    else paintGrid(canvas, { values, height, width }, 40);
    return canvas;
  };
  /** @type {Record<string, any>} painted once, for each place */
  const kept = {};
  const keep = (/** @type {string} */ place, /** @type {Map} */ what, /** @type {number} */ scene) =>
    (kept[`${place} ${scene} ${typeof what === "object" || what}`] ??= pictureOf(what, scenes[scene]));
  const shares = (/** @type {any} */ state) => scenes[state.scene].added[state.class];
  const signed = (/** @type {number} */ value) => (value > 0 ? "+" : "") + number(value, 1);
  const joined = (/** @type {any} */ { network, sizes, c }) => NETWORKS[network].f + sizesOf(sizes).filter(Boolean).length * c;

  /**
   * Return of every box its name, the size of what leaves it, and its map.
   * @param {any} state
   * @returns {Record<string, [string, string, Map?]>}
   */
  const boxesOf = (state) => {
    const { blocks, classes, fused, f, stage3 } = NETWORKS[state.network];
    const [scene, { stride, side, c }] = [scenes[state.scene], state];
    const map = (/** @type {number} */ channels, s = stride) => `${channels}×${Math.ceil(side / s)}×${Math.ceil(side / s)}`;
    return {
      image: ["image", map(3, 1), "picture"], stage3: ["stages 1–3", map(stage3, blocks ? Math.min(16, stride) : 4), scene.stage3],
      f: ["stage 4: f", map(f), scene.f], f2: ["f itself", map(f), scene.f],
      ...Object.fromEntries(sizesOf(state.sizes).map((k, i) => [`scale${i}`, k ? [`k = ${k}`, map(c), scene.responses[i]] : ["left out", "", scene.responses[i]]])),
      join: ["concatenate", map(joined(state))], fuse: ["fuse", map(fused), scene.fused], classify: ["classify", map(classes), state.class], labels: ["labels", `${side}×${side}`, "labels"],
    };
  };
  /**
   * Return what an opened box says, and lines of steps: what is done, what comes out, its map.
   * @param {any} state
   * @returns {[string, [string, string, Map][][]]}
   */
  const insideOf = (state) => {
    const [scene, { kernel, blocks }, i] = [scenes[state.scene], NETWORKS[state.network], Number(state.open.slice(-1))];
    const k = sizesOf(state.sizes)[i];
    if (state.open.startsWith("scale") && !k) return ["This scale is left out.", []];
    switch (state.open) {
      case "image": return ["Red, green and blue, normalised.", [[["", "image", "picture"]]]];
      case "stage3": return [blocks ? "The stem of a ResNet and its first three stages." : "Two 3×3 convolutions with stride 2, and two of 1×1. A unit sees 7 pixels.",
        [[["", "image", "picture"], ["convolve", "stage 3", scene.stage3]]]];
      case "f": return [blocks ? "The last stage. All that follows looks at f." : "A 2×2 convolution with stride 2, and four of 1×1. A unit of f sees 11 pixels: whatever looks further, here, is a dynamic filter.",
        [[["", "stage 3", scene.stage3], ["convolve", "f", scene.f]]]];
      case "f2": return ["What stage 4 gave, unchanged: beside the four responses it goes to the fusion. Nothing is computed.", [[["", "f", scene.f]]]];
      case "join": return [`f and the responses, one behind the other: ${joined(state)} channels. Nothing is computed.`, []];
      case "fuse": return [`One ${kernel}×${kernel} convolution over all ${joined(state)} channels is a sum of five. One channel of it, and what batch norm and ReLU make of that sum:`,
        [[...scene.summands.map((/** @type {Map} */ one, /** @type {number} */ j) => [j ? "+" : "", j ? `k = ${own[j - 1]}` : "f", one]), ["→", "fused", scene.fused]]]];
      case "classify": return ["One 1×1 convolution: a map of logits for each class, red where it is likely.", [names.map((/** @type {string} */ name, /** @type {number} */ c) => ["", name, c])]];
      case "labels": return ["The logits are stretched to the size of the image, and the largest wins.",
        [[["", names[state.class], state.class], ["largest", "labels", "labels"], ["against", "truth", "truth"]]]];
      default: return [`A dynamic module. Its filter is not learned but made of f: ${k}×${k} averages, and one 1×1 convolution for all of them. It slides over another projection of f.`,
        [[["", "f", scene.f], [`pool ${k}×${k}`, "thumbnail", scene.thumbnails[i]], ["1×1", "filter", scene.filters[i]]],
          [["", "f again", scene.f], ["1×1", "reduced", scene.reduced[i]], ["∗ filter", "response", scene.responses[i]]]]];
    }
  };
  const costOf = (/** @type {any} */ state) => {
    const layers = layersOf(state).filter(({ part }) => part === state.open);
    const [[parameters, work], each] = [sumOf(layers), layers.filter(({ name }) => name).map((one) => `${one.name} ${amount(one.work)}`)];
    return `${amount(parameters)} parameters, ${amount(work)} multiply-adds${each.length ? `: ${each.join(", ")}` : ""}.`;
  };
  const isPlain = (/** @type {any} */ state) => Object.entries(as(state.network)).every(([key, value]) => state[key] === value);
  const told = (/** @type {any} */ state) => {
    const [now, before] = [state, as(state.network)].map((one) => sumOf(layersOf(one)));
    const change = (/** @type {number} */ i, /** @type {string} */ what) => (now[i] === before[i] ? `as many ${what}`
      : `${amount(Math.abs(now[i] - before[i]))} ${what} ${now[i] > before[i] ? "more" : "fewer"} (${percent(Math.abs(now[i] / before[i] - 1))})`);
    const title = state.network === "demo" ? "the demo network" : "the published network";
    const all = `In all ${amount(now[0])} parameters, ${amount(now[1])} multiply-adds.`;
    return `${all} ${isPlain(state) ? `This is ${title}.` : `Against ${title}: ${change(0, "parameters")}, ${change(1, "multiply-adds")}.`}`;
  };

  const openUp = (/** @type {string} */ id) => {
    live.set({ open: id });
    setTimeout(() => inside.scrollIntoView({ block: "nearest" }), 50); // when it is drawn
  };

  // The plan.
  const parts = Object.fromEntries(Object.keys(boxesOf(start)).map((id) => {
    const [shown, title, shape] = [make("span.shown"), make("b"), make("small")];
    return [id, { shown, title, shape, element: make(`button.box.${id}`, { type: "button", onclick: () => openUp(id) }, title, shown, shape) }];
  }));
  const row = (/** @type {string[]} */ ...ids) => make("div.chain", {}, ...ids.flatMap((id, i) => [...(i ? ["→"] : []), parts[id].element]));
  const fan = draw("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" }, ...FIVE.map((_, i) => draw("line", { x1: 84, y1: 0, x2: 10 + 20 * i, y2: 10 })));
  const edges = FIVE.map(() => make("div.edge", {}, make("i"), make("span")));
  const [inside, cost, note, sum, origin] = [make("div.inside"), make("p.hint"), make("p.hint"), make("p.sum"), make("p.origin")];
  const faded = make("p.origin", {}, `Faded: maps of the demo network, k = ${own.join(", ")}.`);
  const net = make("div.net", {}, origin, row("image", "stage3", "f"), fan, make("div.five", {}, ...FIVE.map((id) => parts[id].element)), make("div.five", {}, ...edges),
    parts.join.element, make("div.down", { "aria-hidden": "true" }, "↓"), row("fuse", "classify", "labels"), note);
  const kind = make("select", { onchange: () => live.set({ class: Number(kind.value) }) }, ...names.map((/** @type {string} */ name, /** @type {number} */ value) => make("option", { value }, name)));

  // What is counted, and the account.
  const ks = own.map((_, i) => makeScrub(`k of scale ${i + 1}; 0 leaves it out`, { min: 0, max: 45, step: 1 },
    (value) => live.set({ sizes: sizesOf(live.state.sizes).map((k, j) => (i === j ? value : k)).join(",") })));
  const controls = {
    scene: makeChoice("scene", scenes.map((/** @type {any} */ _, /** @type {number} */ i) => [String(i), String(i + 1)]), (value) => live.set({ scene: Number(value) })),
    network: makeChoice("count", [["demo", "demo"], ["resnet50", "ResNet-50"], ["resnet101", "ResNet-101"]], (value) => live.set(as(value))),
    c: makeScrub("C, channels of a scale", { min: 16, max: 1024, step: 16 }, (c) => live.set({ c })),
    side: makeScrub("side of the image in pixels", { min: 64, max: 1024, step: 32 }, (side) => live.set({ side })),
    stride: makeChoice("output stride of a ResNet", [["8", "8"], ["16", "16"]], (value) => live.set({ stride: Number(value) })),
  };
  const rows = ROWS.map(([id, title]) => ({ id, element: make("tr", {}, make("th", { scope: "row" }, title), make("td"), make("td")) }));
  const settings = make("div.settings", {}, controls.network.element, make("p", {}, "filter sizes k = ", ...ks.flatMap(({ element }) => [element, " "])),
    make("p", {}, "C = ", controls.c.element, ", image ", controls.side.element, " pixels wide"), controls.stride.element, sum);
  const whole = make("div.whole", {}, settings, net, inside,
    make("table", {}, make("tr", {}, make("td"), ...["parameters", "multiply-adds"].map((text) => make("th", { scope: "col" }, text))), ...rows.map(({ element }) => element)));
  let [drawn, opened] = ["", ""];

  return {
    start,
    elements: [
      make("p.ask", {}, "Open a box: ", make("b", {}, "what is done there, and what comes out?")),
      make("div.controls", {}, controls.scene.element, make("label", {}, "which input speaks for ", kind, " ?"), makeButton("Reset", () => live.set(start), "Everything as it was")),
      whole,
    ],
    draw: (state) => {
      const [described, sizes, layers, added, [words, lines]] = [boxesOf(state), sizesOf(state.sizes), layersOf(state), shares(state), insideOf(state)];
      for (const [id, [title, shape, map]] of Object.entries(described)) {
        const part = parts[id];
        say(part.title, title);
        say(part.shape, shape.replace("×", "×\u200b"));
        part.element.setAttribute("aria-pressed", String(id === state.open));
        if (map !== undefined && drawn !== `${state.scene} ${state.class}`) part.shown.replaceChildren(keep(id, map, state.scene));
      }
      drawn = `${state.scene} ${state.class}`;
      if (opened !== `${drawn} ${state.open} ${words}`) {
        const steps = (/** @type {[string, string, Map][]} */ line) => line.flatMap(([step, caption, map]) =>
          [make("span.step", {}, step), make("figure", {}, keep(`${state.open} ${step}${caption}`, map, state.scene), make("figcaption", {}, caption))]);
        inside.replaceChildren(make("p", {}, make("b", {}, `${described[state.open][0]}. `), words), faded,
          make("div.lines", {}, ...lines.map((line) => make("div.line-of", {}, ...steps(line)))), cost);
      }
      opened = `${drawn} ${state.open} ${words}`;
      say(cost, costOf(state));
      edges.forEach((edge, i) => {
        const total = added.reduce((/** @type {number} */ all, /** @type {number} */ one) => all + Math.abs(one), 0);
        edge.classList.toggle("gone", i > 0 && !sizes[i - 1]);
        edge.classList.toggle("minus", added[i] < 0);
        edge.firstChild.style.width = `${Math.max(1, Math.round((30 * Math.abs(added[i])) / total))}px`;
        say(edge.lastChild, signed(added[i]));
      });
      rows.forEach(({ id, element }) => {
        element.classList.toggle("chosen", id !== "" && belongs(id, { part: state.open, name: "" }));
        sumOf(layers.filter((layer) => belongs(id, layer))).forEach((count, i) => {
          const cell = element.children[i + 1];
          say(cell, amount(count));
          cell.title = String(count);
          cell.style.setProperty("--share", id ? `${(100 * count) / sumOf(layers)[i]}%` : "0%");
        });
      });
      Object.entries(controls).forEach(([key, control]) => control.show(state[key]));
      ks.forEach(({ show }, i) => show(sizes[i]));
      controls.stride.element.disabled = state.network === "demo"; // its backbone has one
      kind.value = String(state.class);
      const trained = state.network === "demo" && isPlain(state);
      whole.classList.toggle("stale", !trained);
      faded.hidden = trained || !lines.length;
      say(origin, trained ? "Maps and lines are this network’s, as it was trained." : `Faded: maps and lines of the demo network, k = ${own.join(", ")}.`);
      say(note, `Lines: what each input adds to the lead of “${names[state.class]}”, in logits; dashed, it takes away.`);
      say(sum, told(state));
    },
    words: (state) => {
      const added = shares(state).map((/** @type {number} */ value, /** @type {number} */ i) => `${i ? `k = ${own[i - 1]}` : "f"} ${signed(value)}`);
      return `${boxesOf(state)[state.open][0]}: ${insideOf(state)[0]} ${costOf(state)} ${told(state)} For ${names[state.class]}: ${added.join(", ")}.`;
    },
    known: ({ scene, open, class: of, network, sizes, c, stride, side }) => scene in scenes && open in parts && of in names && network in NETWORKS &&
      /^\d\d?(,\d\d?){3}$/.test(sizes) && [[c, 1], [side, 32]].every(([value, least]) => Number.isInteger(value) && value >= least && value <= 2048) && (stride === 8 || (stride === 16 && network !== "demo")),
  };
});
