/**
 * What the tour asks: each step but the last has guesses, a change to be made, and an outcome that is read off the page.
 *
 * @import { State } from "./address.js"
 * @import { Answer, Scene } from "./engines.js"
 * @import { World } from "./results.js"
 * @import { View } from "./view.js"
 */
import { percent } from "./elements.js";
import { iou, shareChanged, sharesOf } from "./numbers.js";
import { groupScores } from "./results.js";

/**
 * @typedef {object} Step
 * @property {string} title the question; what the reader's guess is kept under
 * @property {string} ask
 * @property {Record<string, string>} guesses outcome -> the guess, in words
 * @property {string} [todo] what the reader is to do
 * @property {((view: View) => HTMLElement)} [control] with what
 * @property {((view: View) => HTMLElement[])} [offers] buttons that it speaks of, and which may be out of sight
 * @property {Partial<State>} set the state that the step begins with
 * @property {Partial<State>} [show] what the reader is to change in it
 * @property {(state: State) => boolean} done whether the reader has done what was asked
 * @property {(facts: Facts) => string} [outcome] which of the guesses holds
 * @property {(facts: Facts) => string} [tell] what has happened, in words
 * @property {Record<string, string>} [because] outcome -> what is behind it, where it is this one
 *
 * @typedef {object} Facts what the page shows now
 * @property {Record<string, number>} now mean IoU of each group of classes
 * @property {Record<string, number>} full the same of the full network
 * @property {number} changed share of the pixels that differ from the full network
 * @property {number[]} warm of the pixels with a name that depends on the ground, the share that has the warm one: now, and by the full network
 */

export const GAP = 0.1; // of IoU: a loss that one sees
const SLIGHT = 0.01; // a difference in IoU that is none
const ON = [1, 1, 1, 1];

/**
 * @param {World} world
 * @param {Scene} scene
 * @param {Answer} answer
 * @param {Answer} full the full network's
 * @returns {Facts}
 */
export function factsOf(world, scene, answer, full) {
  const { classes } = world;
  const [now, before] = [answer, full].map(({ labels }) => groupScores(world, scene.truth ? iou(labels, scene.truth, classes.length) : []));
  const warm = [answer, full].map(({ labels }) => {
    const shares = sharesOf(labels, classes.length);
    const sum = (/** @type {(pair: number[]) => number} */ of) => scene.facts.questions.flatMap(({ pairs }) => pairs).reduce((total, pair) => total + of(pair), 0);
    return sum(([yes]) => shares[yes]) / sum(([yes, no]) => shares[yes] + shares[no]);
  });
  return { now, full: before, changed: shareChanged(answer.labels, full.labels), warm };
}

/** @param {Record<string, number>} some */
const listed = (some) => Object.entries(some).map(([name, score]) => `${name} ${percent(score)}`).join(", ");

/** @param {Facts} facts */
function losers({ now, full }) {
  const [rubies, jades] = ["rubies", "jades"].map((name) => full[name] - now[name] > GAP);
  return rubies && jades ? "both" : rubies ? "rubies" : jades ? "jades" : "neither";
}

/** @param {Facts} facts */
function winners({ now, full }) {
  const found = Object.keys(full).filter((name) => now[name] - full[name] > SLIGHT);
  return found.length ? (found.join() === "rubies" ? "rubies" : "others") : "nobody";
}

const TOUCHED = globalThis.matchMedia?.("(hover: none)").matches; // no keys, and nothing to drag with
const orBy = (/** @type {number} */ key) => (TOUCHED ? "" : ` or by the key ${key}`);
const COINS = { rubies: "The rubies", jades: "The jades", both: "Both", neither: "Neither" };
const begin = { channel: -1, donor: "", reveal: -1, edits: [], gates: ON };

/**
 * @param {State} state
 * @param {number} scale the only one that may differ from 1
 */
const others = ({ gates, donor, edits }, scale) => !donor && !edits.length && gates.every((gate, i) => i === scale || gate === 1);

/** @type {Step[]} */
export const STEPS = [
  {
    title: "Without 7 × 7: rubies or jades, which will be named wrongly?",
    ask: "A ruby is named by the side of the mosaic that it lies on, warm or cool; a jade by its block of tiles, light or dark.",
    guesses: COINS,
    todo: `Now switch 7 × 7 off, here${orBy(7)}.`,
    control: ({ scales }) => scales.toggle.parentElement,
    set: { ...begin, scene: "scale-26" },
    show: { gates: [1, 1, 1, 0] },
    done: (state) => others(state, 3) && state.gates[3] === 0,
    outcome: losers,
    tell: ({ now, full }) => `Scores (IoU) with all scales: ${listed(full)}. Without 7 × 7: ${listed(now)}.`,
    because: { rubies: "A side is wide: only the largest filters average over enough tiles to see it." },
  },
  {
    title: "And without 3 × 3?",
    ask: "7 × 7 is on again. Of rubies and jades, which need the filters of 3 × 3?",
    guesses: COINS,
    todo: `Now switch 3 × 3 off, here${orBy(3)}.`,
    control: ({ scales }) => scales.cards[1].toggle.parentElement,
    set: { ...begin, scene: "scale-26" },
    show: { gates: [1, 0, 1, 1] },
    done: (state) => others(state, 1) && state.gates[1] === 0,
    outcome: losers,
    tell: ({ now, full }) => `Scores (IoU) with all scales: ${listed(full)}. Without 3 × 3: ${listed(now)}.`,
    because: { jades: "A block is three tiles wide: larger filters blend it with its neighbours." },
  },
  {
    title: "Is more of 7 × 7 better?",
    ask: "Weights can also be raised, and the rubies need 7 × 7. Who will gain from twice its weight?",
    guesses: { rubies: "The rubies alone", others: "Others as well", nobody: "Nobody" },
    todo: "Now push the slider of 7 × 7 to 2.",
    control: ({ scales }) => scales.cards[3].slider.parentElement,
    set: { ...begin, scene: "scale-26" },
    show: { gates: [1, 1, 1, 2] },
    done: (state) => others(state, 3) && state.gates[3] >= 1.9,
    outcome: winners,
    tell: ({ now, full }) => `Scores (IoU) with weights of 1: ${listed(full)}. Now: ${listed(now)}.`,
    because: { nobody: "The network was trained with weights of 1, and what follows the filters expects them." },
  },
  {
    title: "Borrowed filters: what will the pieces be called?",
    ask: "This is the other world: what a piece of jewellery is called depends on the whole quilt, here a cool one. We lend it the filters of Quilt 6, a warm one. " +
      "No pixel of the picture changes.",
    guesses: { same: "As before", warm: "The warm names", mixed: "Some of both" },
    todo: `Now choose Quilt 6 under “Filters of”${TOUCHED ? "" : ", or drag it from the pictures onto the filter"}.`,
    control: ({ donorChoice }) => donorChoice,
    set: { ...begin, scene: "context-13" },
    show: { donor: "context-15" },
    done: ({ donor, edits, gates }) => donor === "context-15" && !edits.length && gates.every((gate) => gate === 1),
    outcome: ({ warm: [now, before] }) => (Math.abs(now - before) < GAP ? "same" : now > 0.9 ? "warm" : "mixed"),
    tell: ({ changed, warm }) => `With its own filters ${percent(warm[1])} of the pieces' pixels have a warm name, with borrowed ones ${percent(warm[0])}; ` +
      `${percent(changed)} of all pixels have changed their label.`,
    because: { warm: "What the network knows of the whole picture, it keeps in its filters." },
  },
  {
    title: "On your own",
    ask: "“Draw …” a scene of your own, or “Change …” this one: move a piece, turn a patch, dim the light. A click on a picture asks the network why. Below are " +
      "single channels, “Which scale matters here?” and a picture of yours.",
    guesses: {},
    offers: ({ draw, edit }) => [draw, edit],
    set: begin, // nothing is lent any more
    done: () => false,
  },
];
