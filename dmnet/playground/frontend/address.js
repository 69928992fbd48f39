/**
 * The state that a page's address holds, as `#play&scene=scale-26&gates=1,0,1,1&edits=move+3+45+60`.
 *
 * @typedef {object} State
 * @property {string} scene id of a scene, or "own"
 * @property {number[]} gates the weight of each scale, 0..2
 * @property {number} channel which channel of filters and responses is shown; -1 is the one that varies most
 * @property {string} donor id of the scene whose filters are lent, or ""
 * @property {number} reveal which question's answer is shown on the picture; -1 is none
 * @property {string[]} edits changes of the scene; see edits.js
 */
import { readEdit } from "./edits.js";

const PREFIX = "#play&";

/** @type {Readonly<State>} */
export const START = Object.freeze({ scene: "", gates: [1, 1, 1, 1], channel: -1, donor: "", reveal: -1, edits: [] });

/**
 * Return a page's fragment for a state; what is as at the start is left out.
 * @param {State} state
 * @param {number[] | null} [pixel] x and y of the one that is kept
 */
export function toFragment(state, pixel) {
  const parts = [`scene=${encodeURIComponent(state.scene)}`];
  if (state.gates.some((gate) => gate !== 1)) parts.push(`gates=${state.gates.join(",")}`);
  if (state.channel !== -1) parts.push(`channel=${state.channel}`);
  if (state.donor) parts.push(`donor=${encodeURIComponent(state.donor)}`);
  if (state.reveal !== -1) parts.push(`reveal=${state.reveal}`);
  if (state.edits.length) parts.push(`edits=${state.edits.map((edit) => edit.replaceAll(" ", "+")).join(",")}`);
  if (pixel) parts.push(`pixel=${pixel.join(",")}`);
  return PREFIX + parts.join("&");
}

/**
 * Return the pixel that is kept in a fragment, if there is one.
 * @param {string} fragment
 */
export function pixelIn(fragment) {
  const found = fragment.startsWith(PREFIX) && /&pixel=(\d{1,5}),(\d{1,5})(?:&|$)/.exec(fragment);
  return found ? [Number(found[1]), Number(found[2])] : null;
}

/**
 * Return the state in a fragment; what is missing or makes no sense is as in `start`.
 * @param {string} fragment
 * @param {State} start
 * @param {(scene: string) => boolean} known whether there is such a scene
 * @returns {State}
 */
export function fromFragment(fragment, start, known) {
  const state = { ...start, gates: [...start.gates], edits: [...start.edits] };
  if (!fragment.startsWith(PREFIX)) return state;
  const given = new URLSearchParams(fragment.slice(PREFIX.length));
  const scene = given.get("scene") ?? "";
  const donor = given.get("donor") ?? given.get("lender") ?? ""; // its name in older links
  const gates = (given.get("gates") ?? "").split(",").map(Number);
  const [channel, reveal] = ["channel", "reveal"].map((name) => Number(given.get(name) ?? NaN));
  if (known(scene)) {
    state.scene = scene;
    state.edits = (given.get("edits") ?? "").split(",").filter(readEdit);
  }
  if (known(donor)) state.donor = donor;
  if (gates.length === 4 && gates.every((gate) => gate >= 0 && gate <= 2)) state.gates = gates;
  if (Number.isInteger(channel) && channel >= -1) state.channel = channel;
  if (Number.isInteger(reveal) && reveal >= -1) state.reveal = reveal;
  return state;
}
