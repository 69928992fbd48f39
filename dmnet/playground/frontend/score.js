/**
 * A prediction is painted on a small truth; confusion matrix, intersection, union, IoU and mIoU follow.
 */
import { make, makeButton, number, percent, say } from "./elements.js";
import { ARROWS, liveFigure, makeChoice, spelled } from "./live.js";
import { inside, VOID } from "./maps.js";
import { mean } from "./numbers.js";
import { paintLabels } from "./paint.js";

/**
 * Return the confusion matrix, [true class][predicted class], in pixels; void counts nowhere.
 * @param {Uint8Array} truth
 * @param {Uint8Array} labels
 * @param {number} classes
 */
export function confusion(truth, labels, classes) {
  const counts = Array.from({ length: classes }, () => Array(classes).fill(0));
  truth.forEach((label, i) => { if (label !== VOID) counts[label][labels[i]]++; });
  return counts;
}

/**
 * Return of every class intersection, union and their quotient, which is null for one that occurs neither here nor there.
 * @param {number[][]} counts
 */
export const scores = (counts) => counts.map((row, c) => {
  const intersection = row[c];
  const union = row.reduce((sum, count) => sum + count, 0) + counts.reduce((sum, other) => sum + other[c], 0) - intersection;
  return { intersection, union, iou: union ? intersection / union : null };
});

/** How a pixel stands to the chosen class: its mark, which is no class's colour, and words. */
const PARTS = [["neither", "in neither"], ["said", "only predicted"], ["true", "only true"], ["both", "in both: ∩"], ["void", "void"]];

/** @param {string} text a letter per pixel, the class's number */
const toLabels = (text) => Uint8Array.from(text, Number);

export default liveFigure("score", (data, live) => {
  const [{ shape: [height, width], values: given }, predicted] = [spelled(data.truth), spelled(data.prediction)];
  const { names, palette } = data;
  const [truth, classes] = [Uint8Array.from(given), names.length];
  const first = scores(confusion(truth, Uint8Array.from(predicted.values), classes));
  const worst = Math.min(...first.map(({ iou }, c) => (truth.includes(c) ? iou ?? 1 : 1))); // of those that are there
  const start = { labels: [...predicted.values].join(""), brush: first.findIndex(({ iou }, c) => iou === worst && truth.includes(c)), border: "out", row: 0, column: 0 };
  /** @type {{ labels: string, border: string }[]} what there was before each change, for "Undo" */
  const earlier = [];
  const counted = (/** @type {any} */ { labels, border }) => {
    const asked = border === "out" ? truth : truth.map((label) => (label === VOID ? 0 : label));
    const counts = confusion(asked, toLabels(labels), classes);
    const each = scores(counts);
    const miou = mean(each.map(({ iou }) => iou));
    const right = counts.reduce((sum, row, c) => sum + row[c], 0);
    return { asked, counts, each, miou, accuracy: right / counts.flat().reduce((sum, count) => sum + count, 0) };
  };
  const put = (/** @type {number} */ row, /** @type {number} */ column, /** @type {boolean} */ paint) => {
    const at = row * width + column;
    const { labels, brush } = live.state;
    live.set({ row, column, labels: paint ? labels.slice(0, at) + brush + labels.slice(at + 1) : labels });
  };

  // Truth, prediction, and what the chosen class has in common in both.
  const panel = (/** @type {string} */ title, canvas = make("canvas", { role: "img", "aria-label": title })) => {
    const caption = make("div.title", {}, title);
    return { canvas, caption, element: make("div.panel", {}, make("div.map", {}, canvas), caption) };
  };
  const marks = Array.from(truth, () => make("i"));
  const [real, own, both] = [panel("truth"), panel("your prediction"), panel("", make("div.marks", { role: "img", style: `--columns: ${width}` }, ...marks))];
  const cursor = make("span.framed");
  own.canvas.after(cursor);
  own.element.classList.add("own");
  const pad = own.canvas.parentElement;
  [["tabindex", 0], ["role", "application"], ["aria-label", "Your prediction: arrow keys move, space paints"]].forEach(([key, value]) => pad.setAttribute(key, value));
  const draws = (/** @type {PointerEvent} */ { type, clientX, clientY, buttons }) => {
    if (!(buttons & 1)) return;
    const box = pad.getBoundingClientRect();
    const to = [inside(((clientY - box.top) / box.height) * height - 0.5, height), inside(((clientX - box.left) / box.width) * width - 0.5, width)];
    const from = type === "pointerdown" ? to : [live.state.row, live.state.column];
    const steps = Math.max(1, Math.abs(to[0] - from[0]), Math.abs(to[1] - from[1])); // a fast stroke has no holes
    for (let i = 1; i <= steps; i++) put(Math.round(from[0] + ((to[0] - from[0]) * i) / steps), Math.round(from[1] + ((to[1] - from[1]) * i) / steps), true);
  };
  const begins = () => earlier.push({ labels: live.state.labels, border: live.state.border });
  const lastOf = (/** @type {any} */ now) => earlier.findLastIndex((one) => one.labels !== now.labels || one.border !== now.border); // a stroke may change nothing
  const undo = () => {
    const [last] = earlier.splice(Math.max(0, lastOf(live.state)));
    live.set(last ?? {});
  };
  pad.addEventListener("pointerdown", (/** @type {PointerEvent} */ { buttons }) => buttons & 1 && begins());
  pad.addEventListener("pointerdown", draws);
  pad.addEventListener("pointermove", draws);
  pad.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    const { row, column } = live.state;
    const [down, right] = ARROWS[event.key] ?? [0, 0];
    if (down || right) put(inside(row + down, height), inside(column + right, width), false);
    else if (event.key === " " || event.key === "Enter") {
      begins();
      put(row, column, true);
    } else if (event.key === "z" && (event.ctrlKey || event.metaKey)) undo();
    else if (event.key in names) live.set({ brush: Number(event.key) });
    else return;
    event.preventDefault();
  });

  const brush = makeChoice("paint", names.map((/** @type {string} */ name, /** @type {number} */ i) => [String(i), name]), (value) => live.set({ brush: Number(value) }));
  brush.element.querySelectorAll("span").forEach((/** @type {HTMLElement} */ one, /** @type {number} */ i) => { one.style.borderBottom = `6px solid rgb(${palette[i]})`; });
  const border = makeChoice("void is", [["out", "left out"], ["background", `read as ${names[0]}`]], (value) => {
    begins(); // the question changes, and with it the score
    live.set({ border: value });
  });
  const fill = (/** @type {string} */ text, /** @type {string} */ labels, /** @type {string} */ title) => makeButton(text, () => {
    begins();
    live.set({ labels });
  }, title);
  const buttons = [
    fill(`All ${names[0]}`, "0".repeat(width * height), "Start from nothing"),
    fill("The truth", Array.from(truth, (label) => (label === VOID ? 0 : label)).join(""), "A perfect prediction"),
    makeButton("Undo", undo, "As it was before the last change"),
    makeButton("Reset", () => {
      earlier.length = 0;
      live.set(start);
    }, "The network's prediction"),
  ];
  real.canvas.addEventListener("click", (/** @type {MouseEvent} */ { offsetX, offsetY, target }) => {
    const { clientWidth, clientHeight } = /** @type {Element} */ (target);
    const label = truth[Math.floor((offsetY / clientHeight) * height) * width + Math.floor((offsetX / clientWidth) * width)];
    if (label in names) live.set({ brush: label });
  });
  const keys = [3, 2, 1, 0, 4].map((part) => make("span", {}, make(`i.swatch.${PARTS[part][0]}`), PARTS[part][1]));

  // The confusion matrix, a row per true class, and the scores beside it.
  const cells = names.map(() => names.map(() => make("td")));
  const ends = names.map(() => [make("td"), make("td"), make("td.iou")]);
  const swatch = (/** @type {number} */ c) => make("i.swatch", { style: `background: rgb(${palette[c]})` });
  const head = make("tr", {}, make("th", { scope: "col" }, "true ╲ predicted"),
    ...names.map((/** @type {string} */ name, /** @type {number} */ c) => make("th", { scope: "col", title: name, "aria-label": `predicted ${name}` }, swatch(c))),
    ...["∩", "∪", "IoU"].map((text, i) => make("th", { scope: "col", "aria-label": ["intersection", "union", "IoU"][i] }, text)));
  const rows = names.map((/** @type {string} */ name, /** @type {number} */ c) =>
    make("tr", { onclick: () => live.set({ brush: c }) }, make("th", { scope: "row" }, swatch(c), name), ...cells[c], ...ends[c]));
  const sum = make("p.sum");
  const told = (/** @type {any} */ state) => {
    const { each, miou, accuracy } = counted(state);
    const { intersection, union, iou } = each[state.brush];
    const one = iou === null ? "occurs neither here nor there: no IoU, and no part in the mean" : `∩ ${intersection} / ∪ ${union} = ${percent(iou)}`;
    const last = earlier[lastOf(state)];
    const change = last ? 100 * (miou - counted(last).miou) : 0;
    const stroke = last ? ` The last change: ${change > 0 ? "+" : ""}${number(change, 1)} points of mIoU.` : "";
    return `mIoU ${percent(miou)}; ${number(accuracy < 1 ? Math.min(100 * accuracy, 99.9) : 100, 1)} % of the pixels are right.${stroke} ${names[state.brush]}: ${one}.`;
  };

  return {
    start,
    elements: [
      make("p.ask", {}, "Paint the prediction: ", make("b", {}, "what raises the mIoU most?")),
      make("div.controls", {}, brush.element), sum,
      make("div.three", {}, real.element, own.element, both.element), make("p.hint", {}, "In the third picture: ", ...keys),
      make("div.table", { tabindex: 0, role: "region", "aria-label": "Confusion matrix" }, make("table", {}, head, ...rows)),
      make("div.controls", {}, border.element, make("div.buttons", {}, ...buttons)),
    ],
    draw: (state) => {
      const { asked, counts, each } = counted(state);
      const [labels, chosen] = [toLabels(state.labels), state.brush];
      paintLabels(real.canvas, asked, height, width, palette);
      paintLabels(own.canvas, labels, height, width, palette);
      asked.forEach((label, i) => {
        [marks[i].className] = PARTS[label === VOID ? 4 : 2 * Number(label === chosen) + Number(labels[i] === chosen)];
      });
      say(both.caption, `∩ and ∪: ${names[chosen]}`);
      both.canvas.setAttribute("aria-label", `intersection and union of ${names[chosen]}`);
      [cursor.style.left, cursor.style.top] = [`${(100 * state.column) / width}%`, `${(100 * state.row) / height}%`];
      [cursor.style.width, cursor.style.height] = [`${100 / width}%`, `${100 / height}%`];
      counts.forEach((row, c) => {
        row.forEach((count, other) => {
          say(cells[c][other], String(count));
          cells[c][other].classList.toggle("right", c === other);
          cells[c][other].classList.toggle("union", c === chosen || other === chosen);
        });
        const { intersection, union, iou } = each[c];
        [String(intersection), String(union), iou === null ? "–" : percent(iou)].forEach((text, i) => say(ends[c][i], text));
        rows[c].classList.toggle("chosen", c === chosen);
      });
      brush.show(chosen);
      border.show(state.border);
      say(sum, told(state));
    },
    words: (state) => {
      const at = state.row * width + state.column;
      return `Row ${state.row + 1}, column ${state.column + 1}: ${names[Number(state.labels[at])]}, in truth ${names[truth[at]] ?? "void"}. ${told(state)}`;
    },
    known: ({ labels, brush: chosen, border: kind, row, column }) => labels.length === width * height && [...labels].every((one) => one in names) &&
      chosen in names && ["out", "background"].includes(kind) && inside(row, height) === row && inside(column, width) === column,
  };
});
