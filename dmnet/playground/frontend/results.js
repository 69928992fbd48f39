/**
 * Scores: the IoU of every class, which scale matters, and the statistic behind each question.
 *
 * @import { Scene } from "./engines.js"
 */
import { make, percent, within } from "./elements.js";
import { inside } from "./maps.js";
import { mean, sharesOf, SIZES } from "./numbers.js";
import { CREAM } from "./paint.js";
import { makeSwatch } from "./panels.js";

export const FULL_BAR = 0.5; // of IoU: always the same, so that a small loss looks small

/**
 * @typedef {object} World
 * @property {string} name of the network
 * @property {string} title
 * @property {string} hint what there is to find out
 * @property {string} knows what the network knows, in words
 * @property {string[]} classes
 * @property {number[][]} palette
 * @property {Record<string, number[]>} pairs groups of classes with one question
 * @property {string | null} model file of the exported network
 * @property {number} channels of each scale
 * @property {number} channel the one that is shown first
 * @property {number[] | null} resize long and short side of a picture of the reader's; null if it knows no photographs
 * @property {{id: string, title: string, file: string, layers: string | null, credit?: [string, string]}[]} scenes
 */

/**
 * Say which classes a label map holds, the most frequent first.
 * @param {World} world
 * @param {Uint8Array} labels
 */
export const described = ({ classes }, labels) => sharesOf(labels, classes.length).map((share, c) => ({ name: classes[c], share }))
  .filter(({ share }) => share > 0).sort((a, b) => b.share - a.share).map(({ name, share }) => `${name} ${percent(share)}`).join(", ");

/**
 * Return the list of the classes with their colours and numbers; a tick marks the number of the full network.
 * @param {World} world
 * @param {number[]} occurring classes that are there, in the truth or in one of the answers
 * @param {string} what the numbers are
 * @param {(number | null)[]} now
 * @param {(number | null)[]} full
 * @param {number[] | null} shares of the picture, said beside the names
 */
export function classList(world, occurring, what, now, full, shares) {
  const items = occurring.map((c) => {
    const name = make("span.name", {}, world.classes[c].replaceAll("_", " "));
    if (shares) name.append(make("small", { title: "Share of the picture" }, ` ${percent(shares[c])}`));
    return make("li", {}, makeSwatch(world.palette[c]), name,
      make("span.bar", { style: `--now: ${now[c] ?? 0}; --full: ${full[c] ?? 0}` }),
      make("span.score", {}, now[c] === null ? "–" : percent(now[c])));
  });
  return make("ul.classes", { "aria-label": `${what} of every class` }, ...items);
}

/**
 * Return what the colours of the pictures mean, as items of a list.
 * @param {World} world
 * @param {number[]} occurring classes
 * @param {boolean} hasVoid whether pixels count nowhere
 * @returns {HTMLElement[]}
 */
export function legendOf(world, occurring, hasVoid) {
  const items = occurring.map((c) => make("li", {}, makeSwatch(world.palette[c]), world.classes[c].replaceAll("_", " ")));
  return hasVoid ? [...items, make("li", {}, makeSwatch(CREAM), "void: counts nowhere")] : items;
}

/**
 * Say what the colours mean where the answer to a question is laid over the picture.
 * @param {import("./engines.js").Question} question
 */
export function revealedIn({ seen, majority }) {
  const [yes, no] = seen.startsWith("warm") ? ["warm", "cool"] : ["light", "dark"];
  return `picture: red is ${yes}, blue ${no}${majority ? "" : "; the answer changes at the white line"}`;
}

/**
 * Return the mean IoU of each group of classes, over those that occur.
 * @param {World} world
 * @param {(number | null)[]} scores
 * @returns {Record<string, number>}
 */
export function groupScores(world, scores) {
  const groups = Object.entries(world.pairs).map(([name, classes]) => [name, mean(classes.map((c) => scores[c]))]);
  return Object.fromEntries(groups.filter(([, score]) => Number.isFinite(score)));
}

/**
 * Return bars: for each scale what its absence costs, group by group.
 * @param {Record<string, number[]>} drops group -> loss in 0..1 for each scale
 */
export function dropBars(drops) {
  const groups = Object.keys(drops);
  const rows = SIZES.map((k, i) =>
    make(
      "div.drop", {}, make("b", {}, `${k} × ${k}`),
      make("div.bars", {}, ...groups.map((name) => dropBar(name, drops[name][i]))),
    ));
  return make("div.drops", {}, ...rows);
}

/**
 * @param {string} name
 * @param {number} drop
 */
function dropBar(name, drop) {
  const points = Math.round(100 * drop);
  const text = points > 0 ? `−${points}` : points < 0 ? `+${-points}` : "0";
  return make(
    "div.line", {}, make("span.name", {}, name),
    make("span.track", {}, make("span.fill", { "data-of": name, style: `--length: ${within(drop / FULL_BAR, 0, 1)}` })),
    make("span.score", {}, text),
  );
}

/**
 * How many objects an average over each extent would answer rightly.
 * @typedef {object} Statistic
 * @property {string} question
 * @property {number} objects that ask it
 * @property {number[]} extents sides of square windows around an object, in pixels; the last is the whole picture
 * @property {number[]} right for how many of the objects most of the ground in the window says the truth
 */

/**
 * @param {Scene} scene
 * @returns {Statistic[]}
 */
export function statistics({ picture, tensors, facts }) {
  const { height, width } = picture;
  const map = (/** @type {string} */ name) => tensors.hidden.data.subarray(facts.hidden.indexOf(name) * height * width);
  return facts.questions.map(({ text, pairs, seen, hidden }) => {
    const asking = facts.objects.filter(([label]) => pairs.flat().includes(label));
    const extents = [...SIZES.map((k) => 8 * k), 2 * Math.max(height, width)];
    const right = extents.map((side) => asking.filter(([, x, y]) => {
      const [column, row] = [inside(x, width), inside(y, height)];
      const answer = map(hidden)[row * width + column] === 1;
      return (shareAround(map(seen), height, width, row, column, side / 2) > 0.5) === answer;
    }).length);
    return { question: text, objects: asking.length, extents, right };
  });
}

/**
 * Return the share of a window, 0..1, where a map is 1.
 * @param {ArrayLike<number>} map [height, width]
 * @param {number} height
 * @param {number} width
 * @param {number} row
 * @param {number} column
 * @param {number} half of the window's side
 */
function shareAround(map, height, width, row, column, half) {
  let [sum, count] = [0, 0];
  for (let y = Math.max(0, row - half); y < Math.min(height, row + half); y++) {
    for (let x = Math.max(0, column - half); x < Math.min(width, column + half); x++, count++) sum += map[y * width + x];
  }
  return sum / count;
}

/**
 * Return a table: how many objects an average over each extent would answer rightly.
 * @param {Statistic[]} found
 */
export function statisticsTable(found) {
  const head = make("tr", {}, make("th", { scope: "col" }, "a window of"),
    ...found[0].extents.map((side, i) =>
      make("th", { scope: "col" }, i < SIZES.length ? `${side} px` : "all")));
  const rows = found.map(({ question, right, objects }) => {
    const best = Math.max(...right);
    const cells = right.map((count) =>
      make(count === best ? "td.best" : "td", {}, `${count}/${objects}`));
    return make("tr", {}, make("th", { scope: "row" }, question), ...cells);
  });
  return make("table.statistics", { tabIndex: 0 }, make("thead", {}, head), make("tbody", {}, ...rows));
}
