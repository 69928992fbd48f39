/**
 * "Why?" of a pinned pixel: the network is asked with each of the 16 sets of scales, and the card shares out what they add.
 *
 * @import { Picture } from "./numbers.js"
 * @import { Playground } from "./playground.js"
 * @import { View } from "./view.js"
 * @import { Dividends } from "./account.js"
 *
 * @typedef {object} Game whose shares are wanted
 * @property {Picture} picture
 * @property {string} donor
 * @property {number[]} weights of the scales that are in a set
 * @property {string} key
 */
import { askedWhy, holds, makeAccount, reader, SCALES, wordsOf } from "./account.js";
import { make, makeButton, paused, percent, say } from "./elements.js";
import { logitsShape, SIZES } from "./numbers.js";

const NAMES = SIZES.map((k) => `${k}×${k}`);
const NOTE = "First: the class that all four scales together give. Second: its strongest rival now. A row says what a part adds to " +
  "both; what scales add only together is shared out evenly among them. f: the features, with no scale on.";

/**
 * Return the dividends of 16 sets from the logits, [classes, height, width], that the network gives with each.
 * @param {ArrayLike<number>[]} logits by the set's number
 * @param {number[]} shape classes, height and width
 * @returns {Dividends}
 */
export function dividendsOf(logits, shape) {
  const area = logits[0].length;
  const values = new Float32Array(16 * area);
  logits.forEach((one, set) => values.set(one, set * area));
  for (const k of SCALES) {
    for (let set = 0; set < 16; set++) {
      const less = (set & ~(8 >> k)) * area;
      if (holds(set, k)) for (let i = 0; i < area; i++) values[set * area + i] -= values[less + i];
    }
  }
  return { shape: [16, ...shape], values, step: 1 };
}

export class PixelCard {
  /**
   * @param {Playground} playground
   * @param {View} view
   * @param {() => void} release lets the pixel go
   */
  constructor(playground, view, release) {
    this.playground = playground;
    this.account = makeAccount(NAMES, SIZES.map((k) => `var(--scale-${k})`), (scale) => view.scales.cards[scale].toggle.click());
    this.note = make("p.fine");
    this.element = make("div.why", { role: "region", "aria-label": "Why the network calls the pinned pixel so", hidden: true },
      this.account.element, this.note, makeButton("Let go of the pixel", release, "Esc does the same"));
    this.again = makeButton("Ask again", () => this.retry(), "Ask the network once more");
    this.note.after(this.again);
    /** @type {{asked: string, picture: Picture} | null} what failed: only another pixel, or the reader, asks anew */
    this.refused = null;
    view.pointed.after(this.element);
    /** @type {number[] | null} the pinned pixel */
    this.pixel = null;
    /** @type {WeakMap<Picture, Map<string, {logits: Float32Array, cells: any}>>} what every set that was asked for gives */
    this.known = new WeakMap();
    /** @type {{key: string, picture: Picture, dividends: Dividends} | null} */
    this.shared = null;
    /** @type {Game | null} the one that is being asked */
    this.wanted = null;
    this.sought = false; // a click has asked, and its answer may be out of sight
    this.asking = paused(120); // not while something is dragged
    this.words = "";
  }

  retry() {
    this.refused = null;
    this.show(this.pixel);
  }

  /** @returns {Game | null} */
  get game() {
    const { present, state: { donor, gates }, world } = this.playground;
    if (!present) return null;
    const weights = gates.map((gate) => gate || 1); // a scale that is off is in no set that is asked
    return { picture: present.picture, donor, weights, key: `${world.name} ${donor} ${weights}` };
  }

  /** @param {number[] | null} pixel x and y of the one that is pinned */
  show(pixel) {
    const { game } = this;
    this.pixel = pixel;
    this.element.hidden = !pixel || !game;
    this.words = "";
    if (!pixel || !game) return;
    const { ready, failed, world } = this.playground;
    const same = this.shared?.picture === game.picture && this.shared.key === game.key;
    const asked = `${game.key} ${pixel}`;
    const refused = this.refused?.asked === asked && this.refused.picture === game.picture;
    this.again.hidden = !refused;
    this.account.element.hidden = !this.shared || !ready.has(world.name);
    this.element.setAttribute("aria-busy", String(!same));
    if (!ready.has(world.name)) {
      say(this.note, failed.has(world.name) ? "Why, only the network can say, which cannot run here." : "Why? The network is still loading …");
    } else if (same && this.shared) {
      this.draw(this.shared.dividends, pixel);
    } else if (!refused && (this.wanted?.picture !== game.picture || this.wanted.key !== game.key)) {
      [this.wanted, this.refused] = [game, null];
      say(this.note, "The network is asked 16 times …");
      this.asking(() => this.ask(game));
    }
  }

  /**
   * Ask for what is not known yet, one after the other, so that a switch need not wait for all of them.
   * @param {Game} game
   */
  async ask(game) {
    const { playground: { world, ready }, known } = this;
    const engine = ready.get(world.name);
    try {
      const donor = game.donor ? (await this.playground.scene(game.donor)).picture : null;
      const answers = known.get(game.picture) ?? new Map();
      known.set(game.picture, answers);
      const sets = [];
      for (let set = 0; set < 16; set++) {
        const gates = SCALES.map((k) => (holds(set, k) ? game.weights[k] : 0));
        const key = `${world.name} ${game.donor} ${gates}`;
        say(this.note, `The network is asked 16 times: ${set + 1} of 16 …`);
        if (!answers.has(key)) answers.set(key, await engine?.logits({ picture: game.picture, gates, donor }));
        if (this.wanted !== game) return; // another one is wanted
        sets.push(answers.get(key));
      }
      const [{ logits, cells }] = sets;
      const shape = logitsShape(logits.length, world.classes.length, cells);
      this.shared = { ...game, dividends: dividendsOf(sets.map((set) => set.logits), shape) };
      this.wanted = null;
      this.show(this.pixel);
    } catch (error) {
      if (this.wanted !== game) return;
      [this.wanted, this.refused] = [null, { asked: `${game.key} ${this.pixel}`, picture: game.picture }];
      this.again.hidden = false;
      say(this.note, `Why, cannot be said: ${/** @type {Error} */ (error).message}`);
    }
  }

  /**
   * @param {Dividends} dividends
   * @param {number[]} pixel
   */
  draw(dividends, [x, y]) {
    const { present, state: { gates }, world } = this.playground;
    const { picture: { height, width }, truth } = /** @type {import("./engines.js").Scene} */ (present);
    const names = world.classes.map((name) => name.replaceAll("_", " "));
    const on = gates.map((gate) => (gate ? "1" : "0")).join("");
    const account = askedWhy(dividends, on, reader(dividends.shape, height, width)(x, y));
    const real = truth ? ` Truth: ${names[truth[y * width + x]] ?? "void"}.` : "";
    this.account.show(account, on, names, world.palette, `${names[account.now]}, ${percent(account.confidence)} sure.${real}`);
    this.account.rows.slice(1, 5).forEach(({ text }, k) => say(text, NAMES[k] + (gates[k] && gates[k] !== 1 ? ` × ${gates[k]}` : "")));
    this.words = wordsOf(account, on, NAMES, names);
    say(this.note, NOTE);
    if (this.sought) this.reveal();
  }

  /** Scroll to the card, as far as the picture stays in sight; on a telephone it does anyway. */
  reveal() {
    this.sought = false;
    const { narrow, picture } = this.playground.view;
    const seen = [this.element, ...(narrow ? [] : [picture.canvas])]; // whatever it is that scrolls: in a notebook, a pane
    seen.forEach((one) => one.scrollIntoView({ block: "nearest", behavior: "instant" }));
  }
}
