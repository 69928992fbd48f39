/**
 * The other kind of quilt: a switch that does little on a warm one may do much on a cool one, and then the page says so.
 *
 * @import { Answer, Scene } from "./engines.js"
 * @import { Playground } from "./playground.js"
 * @import { World } from "./results.js"
 */
import { visibleShare } from "./compose.js";
import { percent, say } from "./elements.js";
import { iou, mean, SIZES } from "./numbers.js";
import { GAP } from "./steps.js";
import { kindOf } from "./strip.js";

const EXCHANGE = "exchange warm";
const LITTLE = 0.05; // of mIoU: what one takes for nothing

/**
 * Say what the scales that are off do on the other kind of quilt; "" where they do much here, or little there too.
 * @param {World} world
 * @param {[Scene, Answer, Answer]} here a scene, the answer with these weights, and the full network's
 * @param {[Scene, Answer, Answer]} there the same of the other kind of quilt
 * @param {number[]} gates
 */
export function toldOfTheOther(world, here, there, gates) {
  const [[now, full], [then, whole]] = [here, there].map(([{ truth }, ...answers]) =>
    answers.map(({ labels }) => (truth ? mean(iou(labels, truth, world.classes.length)) : NaN)));
  const other = kindOf(there[0]);
  if (other === kindOf(here[0]) || !(Math.abs(full - now) < LITTLE && whole - then > GAP)) return "";
  const off = SIZES.filter((_, i) => gates[i] === 0).map((k) => `${k} × ${k}`).join(" and ");
  return `On a ${other} quilt it matters more: there, without ${off}, mIoU ${percent(then)}, full network ${percent(whole)}. ` +
    `Push the slider to ${percent(shareOf(there[0]))} warm to see it.`;
}

/** @param {Scene} scene whose ground is warm by which share, as its slider says */
const shareOf = (scene) => visibleShare(scene, scene.facts.questions.find(({ majority }) => majority)?.seen ?? "", scene.truth ?? [], 0);

/**
 * Return the changes that make the other kind of quilt: its own ground, where that is of the other kind, or its patches exchanged.
 * As it was drawn, since those are the two kinds that the network was trained on.
 * @param {string[]} edits
 * @param {boolean} turned whether the ground is of another kind than it was
 */
function otherGround(edits, turned) {
  const rest = edits.filter((edit) => !edit.startsWith("share ") && edit !== EXCHANGE);
  return turned ? rest : [...rest, EXCHANGE];
}

/**
 * Ask the network for both answers to the other quilt, where a scale is off, and tell what came of it.
 * @param {Playground} playground
 */
export async function askTheOther(playground) {
  const { answer, base, channel, drawn, full, present, ready, state: { donor, edits, gates, scene }, turn, view: { opposite }, world } = playground;
  const [engine, whole] = [ready.get(world.name), present && full.get(present)];
  const asked = gates.includes(0) && !donor && !drawn && present?.facts.questions.some(({ majority }) => majority);
  if (!base || !present || !asked || !engine || !answer || !whole) return say(opposite, "");
  const there = (await playground.composer(scene)).put(otherGround(edits, kindOf(base) !== kindOf(present))).scene;
  const answers = [];
  for (const weights of [gates, [1, 1, 1, 1]]) {
    if (turn !== playground.turn) return; // the next is on its way
    answers.push(await engine.answer({ picture: there.picture, gates: [...weights], channel, donor: null }));
  }
  if (turn === playground.turn) say(opposite, toldOfTheOther(world, [present, answer, whole], [there, answers[0], answers[1]], gates));
}
