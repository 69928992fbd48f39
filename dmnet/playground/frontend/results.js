/**
 * Scores: the IoU of every class, which scale matters, and the statistic behind each question.
 *
 * @import { Statistic } from "./engines.js"
 */
import { make, percent } from "./elements.js";
import { mean, SIZES } from "./numbers.js";

/**
 * @typedef {object} World
 * @property {string} name of the network
 * @property {string} title
 * @property {string} hint what there is to find out
 * @property {string[]} classes
 * @property {number[][]} palette
 * @property {Record<string, number[]>} pairs groups of classes with one question
 * @property {string | null} model file of the exported network
 * @property {{id: string, title: string, file: string}[]} scenes
 */

/**
 * Return the list of the classes with their colours and scores; a tick marks the score of the full network.
 * @param {World} world
 * @param {number[]} occurring classes that are there, in the truth or in one of the answers
 * @param {(number | null)[] | null} scores
 * @param {(number | null)[] | null} full
 */
export function classList(world, occurring, scores, full) {
  const items = occurring.map((c) => {
    const [now, then] = [scores?.[c] ?? null, full?.[c] ?? null];
    const parts = [make("i.swatch", { style: `background: rgb(${world.palette[c].join(" ")})` })];
    parts.push(make("span.name", {}, world.classes[c]));
    if (scores) {
      const bar = make("span.bar", { style: `--now: ${now ?? 0}; --full: ${then ?? 0}` });
      parts.push(bar, make("span.score", {}, now === null ? "–" : percent(now)));
    }
    return make("li", {}, ...parts);
  });
  return make("ul.classes", { "aria-label": scores ? "IoU of every class" : "Classes" }, ...items);
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
  const most = Math.max(0.05, ...Object.values(drops).flat().map(Math.abs));
  const rows = SIZES.map((k, i) =>
    make(
      "div.drop", {}, make("b", {}, `${k} × ${k}`),
      make("div.bars", {}, ...groups.map((name, g) => dropBar(name, g, drops[name][i], most))),
    ));
  return make("div.drops", {}, ...rows);
}

/**
 * @param {string} name
 * @param {number} group
 * @param {number} drop
 * @param {number} most
 */
function dropBar(name, group, drop, most) {
  const points = Math.round(100 * drop);
  const text = points > 0 ? `−${points}` : points < 0 ? `+${-points}` : "0";
  return make(
    "div.line", {}, make("span.name", {}, name),
    make("span.track", {}, make(`span.fill.group${group}`, { style: `--length: ${Math.max(0, drop) / most}` })),
    make("span.score", {}, text),
  );
}

/**
 * Return a table: how many objects an average over each extent would answer rightly.
 * @param {Statistic[]} statistics
 */
export function statisticsTable(statistics) {
  const head = make("tr", {}, make("th", { scope: "col" }, "a window of"),
    ...statistics[0].extents.map((side, i) =>
      make("th", { scope: "col" }, i < SIZES.length ? `${side} px` : "all")));
  const rows = statistics.map(({ question, right, objects }) => {
    const best = Math.max(...right);
    const cells = right.map((count) =>
      make(count === best ? "td.best" : "td", {}, `${count}/${objects}`));
    return make("tr", {}, make("th", { scope: "row" }, question), ...cells);
  });
  return make("table.statistics", {}, make("thead", {}, head), make("tbody", {}, ...rows));
}
