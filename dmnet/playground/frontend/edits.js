/**
 * Changes of a scene, as short sentences. They are part of the state: in a notebook's trait, and in the address.
 *
 *     move 3 45 60      object 3 (counted from 1) has its centre at x = 45, y = 60
 *     size 3 -1         it is a step smaller; two steps halve or double it
 *     remove 3
 *     remove all        nothing lies on the ground any more
 *     add ruby 30 40    one more object, which gets the next number
 *     exchange warm     warm and cool change places, everywhere, and with them the names that depend on it
 *     turn warm 17      warm and cool change places in patch 17 of the ground, and the names stay
 *     share 60          60 % of the ground is warm: the patches are turned one after the other
 *     brightness 120    of the light, in per cent
 *     warmth -40        of the light: -100 is blue, 100 is orange
 *
 * @typedef {object} Edit
 * @property {string} verb
 * @property {number} object number of an object, from 1; 0 for the verbs that have none
 * @property {string} name of a kind of object, or of what a patch can be; "all" for all objects
 * @property {number[]} numbers the rest
 */

const WHOLE = "(-?\\d{1,5})";
/** @type {Record<string, RegExp>} */
const FORMS = {
  move: new RegExp(`^(\\d{1,3}) ${WHOLE} ${WHOLE}$`),
  size: new RegExp(`^(\\d{1,3}) ${WHOLE}$`),
  remove: /^(\d{1,3}|all)$/,
  add: new RegExp(`^([a-z]+) ${WHOLE} ${WHOLE}$`),
  exchange: /^([a-z]+)$/,
  turn: /^([a-z]+) (\d{1,5})$/,
  share: /^(\d{1,3})$/,
  brightness: /^(\d{1,3})$/,
  warmth: new RegExp(`^${WHOLE}$`),
};
const OF_OBJECTS = ["move", "size", "remove"];
const OF_NAMES = ["add", "exchange", "turn"];
const SWITCHES = ["exchange", "turn"]; // said twice, they are as if never said

/** Takes every object away: the sentence that a drawing begins with. */
export const EMPTY = "remove all";

/**
 * Read one change; null if it is none.
 * @param {string} text
 * @returns {Edit | null}
 */
export function readEdit(text) {
  const [verb, ...rest] = text.trim().split(/\s+/);
  const found = Object.hasOwn(FORMS, verb) ? FORMS[verb].exec(rest.join(" ")) : null;
  if (!found) return null;
  const words = found.slice(1);
  const subject = [...OF_OBJECTS, ...OF_NAMES].includes(verb) ? String(words.shift()) : "";
  const numbered = OF_OBJECTS.includes(verb) && subject !== "all";
  return { verb, object: numbered ? Number(subject) : 0, name: numbered ? "" : subject, numbers: words.map(Number) };
}

/**
 * Return the changes with one more: it takes the place of an earlier one of the same thing.
 * @param {string[]} edits
 * @param {string} text
 * @returns {string[]}
 */
export function withEdit(edits, text) {
  const verb = text.split(" ", 1)[0];
  if (verb === "add") return [...edits, text];
  if (text === EMPTY) return [...edits.filter((one) => ![...OF_OBJECTS, "add"].includes(one.split(" ", 1)[0])), text];
  if (SWITCHES.includes(verb)) return edits.includes(text) ? edits.filter((one) => one !== text) : [...edits, text];
  const subject = OF_OBJECTS.includes(verb) ? text.split(" ", 2).join(" ") : verb;
  return [...edits.filter((one) => one !== subject && !one.startsWith(`${subject} `)), text];
}
