/**
 * A dynamic filter in digits, to be handled: image -> thumbnail -> filter -> response.
 *
 * @import { Rows } from "./filtering.js"
 */
import { make, makeButton, number, say } from "./elements.js";
import { binOf, correlate, factors, pool } from "./filtering.js";
import { makeGrid } from "./grids.js";
import { liveFigure, makeChoice } from "./live.js";
import { makeScrub } from "./scrub.js";

/** @type {Record<string, (rows: Rows) => Rows>} What can be done to an image, and to its response. */
export const MOVES = {
  flip: (rows) => rows.map((row) => [...row].reverse()),
  turn: (rows) => rows[0].map((_, i) => rows.map((row) => row[row.length - 1 - i])),
  shift: (rows) => rows.map((row) => [0, ...row.slice(0, -1)]), // to the right; zeros come in
  crop: (rows) => rows.map((row) => row.slice(0, Math.ceil(row.length / 2))),
};

/** An image as text, whole, cropped, or cropped and turned. */
const FORM = /^(\d{6}(,\d{6}){5}|\d{6}(,\d{6}){2}|\d{3}(,\d{3}){5})$/;
/** @param {string} text rows of digits, as "53,44" */
export const toRows = (text) => text.split(",").map((row) => Array.from(row, Number));
/** @param {Rows} rows */
export const toText = (rows) => rows.map((row) => row.join("")).join(",");

/** @param {number} one @param {number} other */
const differ = (one, other) => Math.abs(one - other) > 1e-9;

/**
 * Return all that follows from a state: in particular, where the response is not what was done to the response before, and
 * how many taps are not what the response would need.
 * @param {any} state
 */
export function consequences({ image, before, kept, move, w, b, k }) {
  const made = (/** @type {string} */ source) => pool(toRows(source), k).map((row) => row.map((value) => w * value + b));
  const rows = toRows(image);
  const filter = made(kept || image);
  const response = correlate(rows, filter);
  if (!move) return { rows, thumbnail: pool(rows, k), filter, response, off: null, compared: 0, others: 0 };
  const old = made(kept || before);
  const expected = MOVES[move](correlate(toRows(before), old));
  const wanted = move === "flip" || move === "turn" ? MOVES[move](old).flat() : old.flat();
  const others = filter.flat().filter((tap, i) => differ(tap, wanted[i])).length;
  const width = rows[0].length;
  // The zeros that a shift brings in, and what it pushes out, are left out; and so is what reaches over the cut.
  const last = move === "shift" || move === "crop" ? width - Math.floor((k - 1) / 2) : width;
  const asked = (/** @type {number} */ x) => x >= (move === "shift" ? 1 : 0) && x < last;
  const off = response.map((row, y) => row.map((value, x) => asked(x) && differ(value, expected[y][x])));
  const compared = rows.length * rows[0].filter((_, x) => asked(x)).length;
  return { rows, thumbnail: pool(rows, k), filter, response, off, compared, others };
}

/** Why taps are others than the response would need. @type {Record<string, string>} */
const BECAUSE = { shift: "the shift has moved digits from bin to bin", crop: "the bins now divide half of the digits" };

/**
 * Say whether the response went along with the image, and why.
 * @param {any} state
 * @param {{off: boolean[][] | null, compared: number, others: number}} found
 */
export function verdict({ move, kept, k }, { off, compared, others }) {
  if (!off) return { went: false, text: "Flip, turn, shift or crop the image: does the response go along?", why: "" };
  const stayed = off.flat().filter(Boolean).length;
  const turned = move === "flip" || move === "turn";
  const rest = turned ? "" : " Numbers near the border are not compared.";
  const filter = turned ? "the filter went along, too" : "the filter is the same as before";
  let why = others ? "" : ` ${filter[0].toUpperCase()}${filter.slice(1)}.`;
  if (stayed && others) why = kept ? ` The filter is the one of before, and not made anew: a ${move} would change ${others} of its ${k * k} taps.` : ` ${others} of ${k * k} taps are others: ${BECAUSE[move]}.`;
  else if (stayed) why = ` Though ${filter}: k = ${k} is even, so no tap is the middle one, and the filter reaches further to the left and up.`;
  return { went: stayed === 0, text: stayed ? `After the ${move}, ${stayed} of ${compared} numbers did not go along (underlined).` : `After the ${move}, all ${compared} numbers went along.`, why: why + rest };
}

/**
 * Return an image with another digit; where the image comes from a move, the one before has it too, so that both can still
 * be compared. Where no digit of the one before stands there now, a zero that a shift brought in, nothing is compared any more.
 * @param {any} state
 * @param {number} row
 * @param {number} column
 * @param {number} digit
 */
export function withDigit({ image, before, move }, row, column, digit) {
  const [rows, old] = [toRows(image), toRows(before)];
  rows[row][column] = digit;
  const from = move ? MOVES[move](old.map((line, y) => line.map((_, x) => y * line.length + x + 1)))[row][column] : 0;
  if (!from) return { image: toText(rows), move: "" };
  old[Math.floor((from - 1) / old[0].length)][(from - 1) % old[0].length] = digit;
  return { image: toText(rows), before: toText(old) };
}

/** @param {number} value */
const bracketed = (value) => (value < 0 ? `(${number(value)})` : number(value));

/**
 * Say how the number that is pointed at is computed.
 * @param {any} state
 * @param {{rows: Rows, thumbnail: Rows, filter: Rows, response: Rows}} found
 */
export function account({ at, row, column, kept, w, b }, { rows, thumbnail, filter, response }) {
  const place = `row ${row + 1}, column ${column + 1}`;
  if (at === "response") {
    const terms = factors(rows, filter, row, column).flat().flatMap((pair) => (pair ? [pair.map(bracketed).join("·")] : []));
    return `Response, ${place}: ${terms.join(" + ")} = ${number(response[row][column])}`;
  }
  const average = thumbnail[row][column];
  return `Thumbnail, ${place}: the framed digits average ${number(average)}. Filter: ${kept ? "kept as it was, "
    : `${number(w)}·${bracketed(average)} + ${bracketed(b)} = `}${number(filter[row][column])}`;
}

export default liveFigure("digits", (data, live) => {
  const start = { image: toText(data.image), before: "", kept: "", move: "", w: data.w, b: data.b, k: data.k };
  /** What is pointed at: a number of the response (at first the largest), or a tap of thumbnail and filter. */
  const now = { at: "response", row: 0, column: 0 };
  const values = consequences(start).response.flat();
  [now.row, now.column] = [Math.floor(values.indexOf(Math.max(...values)) / 6), values.indexOf(Math.max(...values)) % 6];
  const pointed = (/** @type {any} */ state) => {
    const found = consequences(state);
    const shown = now.at === "response" ? found.response : found.filter;
    const place = { row: Math.min(now.row, shown.length - 1), column: Math.min(now.column, shown[0].length - 1) };
    return { found, place, text: account({ ...state, ...now, ...place }, found) };
  };
  const point = (/** @type {string} */ at) => (/** @type {number} */ row, /** @type {number} */ column) => {
    if (now.at === at && now.row === row && now.column === column) return;
    Object.assign(now, { at, row, column });
    live.set({});
  };
  const edit = (/** @type {number} */ row, /** @type {number} */ column, /** @type {number} */ digit) => live.set(withDigit(live.state, row, column, digit));
  const [image, thumbnail, filter, response] = [makeGrid("image", () => {}, edit), makeGrid("thumbnail", point("tap")),
    makeGrid("filter", point("tap")), makeGrid("response", point("response"))];
  const [w, b] = ["w", "b"].map((name) => makeScrub(name, { min: -3, max: 3, step: 0.5 }, (value) => live.set({ [name]: value })));
  const size = makeChoice("k", ["1", "2", "3", "4", "5"].map((k) => [k, k]), (k) => live.set({ k: Number(k) }));
  const kind = makeChoice("filter", [["", "dynamic"], ["kept", "static"]], (value) =>
    live.set({ kept: value && (live.state.move ? live.state.before : live.state.image) }));
  const buttons = Object.entries({ flip: "⇆ flip", turn: "↺ turn", shift: "→ shift", crop: "◧ crop" }).map(([move, text]) =>
    makeButton(text, () => live.set({ before: live.state.image, move, image: toText(MOVES[move](toRows(live.state.image))) }), `${move} the image`));
  const reset = makeButton("Reset", () => live.set(start), "Everything as it was");
  const [sum, answer, because, source] = [make("p.sum"), make("b"), make("span"), make("span")];
  const outcome = make("p.verdict", {}, answer, because);
  const arrow = (/** @type {string} */ name) => make(`span.step.${name}`, { "aria-hidden": "true" }, "→");
  const flow = make("div.flow", {}, image.element, arrow("shrink"), thumbnail.element, arrow("make"), filter.element, arrow("slide"), response.element);

  return {
    start,
    elements: [
      make("p.ask", {}, "The filter is ", w.element, " times ", source, ", plus ", b.element, "."),
      make("p.hint", {}, "Drag these two numbers sideways, or any digit. Point at a number to see what it is made of."),
      make("div.controls", {}, make("div.buttons", {}, ...buttons), kind.element, size.element, reset), outcome, flow, sum,
    ],
    draw: (state) => {
      const { found, place, text } = pointed(state);
      const lit = (/** @type {string} */ at) => (/** @type {number} */ y, /** @type {number} */ x) =>
        `${now.at === at && y === place.row && x === place.column ? "here" : ""} ${at === "response" && found.off?.[y][x] ? "off" : ""}`;
      image.show(found.rows);
      thumbnail.show(found.thumbnail, lit("tap"));
      filter.show(found.filter, lit("tap"));
      response.show(found.response, lit("response"));
      const [rows, columns] = [[place.row, found.rows.length], [place.column, found.rows[0].length]].map(([i, length]) => {
        const first = i - Math.floor(state.k / 2);
        return now.at === "tap" ? binOf(i, state.k, length) : [Math.max(0, first), Math.min(length, first + state.k)];
      });
      image.mark([rows[0], columns[0], rows[1], columns[1]]);
      flow.style.setProperty("--k", state.k);
      flow.classList.toggle("kept", state.kept !== "");
      [[w, state.w], [b, state.b], [size, state.k], [kind, state.kept && "kept"]].forEach(([control, value]) => control.show(value));
      buttons[3].disabled = state.image.length < 36; // it is cropped
      say(sum, text);
      say(source, state.kept ? "the kept thumbnail" : "the thumbnail");
      const told = verdict(state, found);
      say(answer, told.text);
      say(because, told.why);
      outcome.className = `verdict ${found.off ? (told.went ? "done" : "undone") : ""}`;
    },
    words: (state) => {
      const { text, why } = verdict(state, consequences(state));
      return `${pointed(state).text}. ${state.move ? text + why : ""}`;
    },
    known: ({ image: digits, before, kept, move, w: times, b: plus, k }) => FORM.test(digits) &&
      [before, kept].every((text) => !text || FORM.test(text)) && (!move || (move in MOVES && before !== "")) &&
      Math.max(Math.abs(times), Math.abs(plus)) <= 3 && [1, 2, 3, 4, 5].includes(k),
  };
});
