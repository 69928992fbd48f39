/**
 * "Which scale matters here?": what each scale's absence costs the network, and what the data say.
 *
 * @import { Answer, Scene } from "./engines.js"
 * @import { World } from "./results.js"
 */
import { make } from "./elements.js";
import { iou, shareChanged } from "./numbers.js";
import { dropBars, FULL_BAR, groupScores, statistics, statisticsTable } from "./results.js";

const NEXT_TO_NOTHING = 0.03; // of IoU, or of the pixels

/**
 * Return what the box holds; null if an answer is not to be had.
 * @param {World} world
 * @param {Scene} scene
 * @param {{answer: Answer, gates: number[], name: string}} now what is shown, in words where that isn't the full network
 * @param {(gates: number[]) => Promise<Answer | null>} answerTo
 * @returns {Promise<HTMLElement[] | null>}
 */
export async function reasons(world, scene, { answer, gates, name: shown }, answerTo) {
  /** @type {Record<string, number[]>} */
  const drops = {};
  for (let i = 0; i < 4; i++) {
    const without = gates[i] ? await answerTo(gates.with(i, 0)) : answer;
    if (!without) return null;
    for (const [name, drop] of Object.entries(lost(world, scene, answer, without))) (drops[name] ??= []).push(drop);
  }
  const whose = shown ? `, of ${shown}` : "";
  const parts = [
    make("p", {}, scene.truth
      ? `What switching off this scale alone does to the IoU, in percentage points (a full bar is ${100 * FULL_BAR})${whose}:`
      : `Share of the pixels, in per cent, that change when this scale alone is switched off (a full bar is ${100 * FULL_BAR})${whose}:`),
    dropBars(drops),
  ];
  if (Object.values(drops).flat().every((drop) => Math.abs(drop) < NEXT_TO_NOTHING)) parts.push(make("p", {}, "No scale matters much here."));
  if (!scene.facts.questions.length) return parts;
  const words = "And the true statistic: how many would be answered rightly by the majority of the tiles in a window " +
    "around them? A k × k filter averages over about 8k pixels.";
  return [...parts, make("p", {}, words), statisticsTable(statistics(scene))];
}

/**
 * Return what is lost, group by group of classes; without a truth, the share of the pixels that change.
 * @param {World} world
 * @param {Scene} scene
 * @param {Answer} full
 * @param {Answer} without
 * @returns {Record<string, number>}
 */
function lost(world, { truth }, full, without) {
  if (!truth) return { pixels: shareChanged(full.labels, without.labels) };
  const score = (/** @type {Answer} */ { labels }) => groupScores(world, iou(labels, truth, world.classes.length));
  const [before, after] = [score(full), score(without)];
  return Object.fromEntries(Object.keys(before).map((name) => [name, before[name] - (after[name] ?? 0)]));
}
